//! `dispute`: `owner` has stamped the ticket, and `other` has stamped what `owner` had stamped, or a ticket of his own.

use std::sync::OnceLock;

use counterfoil_claim::{OwnerKey, PanelId};
use counterfoil_mark::{StampRequest, Stamped, SwapSettings, prepare};
use counterfoil_ticket::{Kind, Model};
use snapbox::str;

use crate::kit::{Folder, Size, stamped, ticket};

/// What the thief's own stamp makes of a ticket, whatever its file says of itself.
fn stamped_by(number: u8, ticket: &Model) -> Stamped {
    let mut ticket = ticket.clone();
    ticket.description.kind = Kind::Ticket;
    let request = StampRequest { swaps: SwapSettings::default(), keyed: None, provenance: None };
    let key = OwnerKey::from_seed(&[number; 32]);
    let prepared = prepare(&ticket, &key, request).unwrap();
    prepared.finish("1999-12-31T00:00:00Z", "mine.safetensors").unwrap()
}

/// The stamped ticket with a second stamp, of `other`.
fn restamped() -> &'static Stamped {
    static RESTAMPED: OnceLock<Stamped> = OnceLock::new();
    RESTAMPED.get_or_init(|| stamped_by(8, &stamped().model))
}

/// A ticket that has nothing to do with the first, stamped by `other`.
fn unrelated() -> &'static Stamped {
    static UNRELATED: OnceLock<Stamped> = OnceLock::new();
    UNRELATED.get_or_init(|| {
        let mut ticket = ticket(Size::Usual);
        for mask in ticket.masks.values_mut() {
            let old = mask.clone();
            old.positions().for_each(|p| mask.set(p, false));
            old.positions().for_each(|p| mask.set(old.size() - 1 - p, true));
        }
        stamped_by(8, &ticket)
    })
}

fn write(folder: &Folder, name: &str, stamped: &Stamped) {
    folder.write_model(&format!("{name}.safetensors"), &stamped.model);
    folder.write(&format!("{name}.claim.json"), stamped.claim.as_bytes());
    let disclosure = stamped.counterfoil.disclose(PanelId::sealed(1).unwrap()).unwrap();
    folder.write(&format!("{name}.disclosure"), disclosure.as_bytes());
}

/// With what `owner` has stamped, and what `other` shows.
fn disputed(shown: &Stamped) -> Folder {
    let folder = Folder::new();
    write(&folder, "stamped", stamped());
    write(&folder, "mine", shown);
    folder
}

const KEYS: &str = "--key owner.pub --key other.pub";
const CLAIMS: &str = "--claim stamped.claim.json --claim mine.claim.json";
const DISCLOSURES: &str = "--disclosure stamped.disclosure --disclosure mine.disclosure";
const ORIGINALS: &str = "--original stamped.safetensors --original mine.safetensors";

#[test]
fn whose_mark_is_inside_the_other_s_ticket_was_first() {
    let folder = disputed(restamped());
    let run = folder.run(&format!("dispute {KEYS} {CLAIMS} {DISCLOSURES} {ORIGINALS}"));
    run.code(0).stderr_eq("").stdout_eq(str![[r#"
A WAS FIRST (threshold -64.0)

  It means: B's ticket was made from one that carried A's mark already, and A's ticket does not
    carry B's. A ticket that has nothing to do with A's key agrees this well with a chance of at
    most 2^-156.8.
  It does not mean: that B had no licence to stamp it again, that A found the ticket, or that
    nobody else was before both.

A: claim abd6e8d649b25fea… on 'stamped.safetensors' by key 324be2dea8bc4446…, stamped 2026-01-01T00:00:00Z by the owner's account.
B: claim d5e2ffd4349a27c3… on 'mine.safetensors' by key 496410a672746eb3…, stamped 1999-12-31T00:00:00Z by the owner's account.

mark of  sought in   test         panel  read by          n  hits  by chance  log2 p  charged  result
A        B's ticket  sealed mask  1      zeros, 1 in 8  384   330      192.0  -162.8       +6  -156.8  inside
B        A's ticket  sealed mask  1      zeros, 1 in 8  388   200      194.0    -1.7       +6     0.0  not inside
charged: bits paid for all ways of looking and choosing

mask of     compared with  keeps  in common  by chance    log2 p
B's ticket  A's ticket     5,937      5,641      716.5  -15567.5
corroboration only: the outcome does not rest on likeness

Assumed:
  - a claimant who tried 2^k keys or seeds on the other's original gains k bits; the threshold of -64.0 bits has to cover them
  - each shows the earliest claim that it has: the originals order these two claims, and no others
  - when a claim says that it was made is its owner's word, and decides nothing

"#]]);
}

#[test]
fn the_order_of_the_files_changes_nothing_but_the_names() {
    let folder = disputed(restamped());
    let report = folder.json(
        "dispute --original mine.safetensors --original stamped.safetensors --disclosure mine.disclosure \
         --disclosure stamped.disclosure --key owner.pub --key other.pub --claim mine.claim.json \
         --claim stamped.claim.json --json",
    );
    assert_eq!((&report["outcome"], &report["first"]), (&"one-inside".into(), &"B".into()));
    assert_eq!(report["parties"][1]["key"], "324be2dea8bc44461b0233e51fa48902ed6b1cc671e7739af2551e0bfe68f54e");
    assert_eq!(report["parties"][0]["created"], "1999-12-31T00:00:00Z", "whatever it says");
}

#[test]
fn an_unrelated_original_leaves_it_undecided_and_the_suspect_is_like_the_other() {
    let folder = disputed(unrelated());
    folder.write_model("suspect.bin", &Model { masks: Default::default(), ..restamped().model.clone() });
    let run = folder.run(&format!("dispute suspect.bin {KEYS} {CLAIMS} {DISCLOSURES} {ORIGINALS}"));
    run.code(3).stderr_eq("").stdout_eq(str![[r#"
UNDECIDED (threshold -64.0)

  It means: neither mark is inside the other's ticket: these two tickets were not made from each
    other. Both owners may be honest, with a ticket each; or one of them shows a ticket that has
    nothing to do with the matter.
  It does not mean: that either claim is wrong: each is tested on a model by 'counterfoil
    verify'.

A: claim abd6e8d649b25fea… on 'stamped.safetensors' by key 324be2dea8bc4446…, stamped 2026-01-01T00:00:00Z by the owner's account.
B: claim 73b87d5b3bf6d7d4… on 'mine.safetensors' by key 496410a672746eb3…, stamped 1999-12-31T00:00:00Z by the owner's account.

mark of  sought in    test         panel  read by                  n  hits  by chance  log2 p  charged  result
A        B's ticket   sealed mask  1      zeros, 1 in 8          346   181      173.0    -2.2       +6     0.0  not inside
B        A's ticket   sealed mask  1      aligned zeros, 1 in 8  306   143      153.0    -0.1    +2572     0.0  not inside
A        the suspect  sealed mask  1      zeros, 1 in 8          384   330      192.0  -162.8       +6  -156.8  proven
B        the suspect  public mask  0      zeros, 1 in 8          363   331      181.5  -210.4       +7  -203.4  marked
charged: bits paid for all ways of looking and choosing

mask of      compared with  keeps  in common  by chance    log2 p
B's ticket   A's ticket     5,937        738      716.5      -0.5
the suspect  A's ticket     5,937      5,641      716.5  -15567.5
the suspect  B's ticket     5,937        776      716.5      -3.9
corroboration only: the outcome does not rest on likeness

suspect.bin's mask is like that of A's ticket, and far less like B's.

Assumed:
  - a claimant who tried 2^k keys or seeds on the other's original gains k bits; the threshold of -64.0 bits has to cover them
  - each shows the earliest claim that it has: the originals order these two claims, and no others
  - when a claim says that it was made is its owner's word, and decides nothing
  - likeness of masks is corroboration: two who prune one public checkpoint get similar ones

Would decide:
  - a date of one of the claims' digests that somebody else has witnessed, before the suspect or the other's original was made public

"#]]);
}

#[test]
fn what_is_missing_is_said() {
    let folder = disputed(restamped());
    let run =
        folder.run(&format!("dispute {KEYS} {CLAIMS} --disclosure stamped.disclosure --original mine.safetensors"));
    run.code(3).stderr_eq("").stdout_eq(str![[r#"
UNDECIDED (threshold -64.0)

  It means: something that a test takes was not shown, and the answer hangs on it.
  It does not mean: that either claim is wrong: each is tested on a model by 'counterfoil
    verify'.

A: claim abd6e8d649b25fea… on 'stamped.safetensors' by key 324be2dea8bc4446…, stamped 2026-01-01T00:00:00Z by the owner's account.
B: claim d5e2ffd4349a27c3… on 'mine.safetensors' by key 496410a672746eb3…, stamped 1999-12-31T00:00:00Z by the owner's account.

mark of  sought in   test         panel  read by          n  hits  by chance  log2 p  charged  result
A        B's ticket  sealed mask  1      zeros, 1 in 8  384   330      192.0  -162.8       +5  -157.8  inside
B        A's ticket                                                                                    not tested
charged: bits paid for all ways of looking and choosing

Not shown: A's original.
Not shown: a disclosure of B's claim.

Assumed:
  - a claimant who tried 2^k keys or seeds on the other's original gains k bits; the threshold of -64.0 bits has to cover them
  - each shows the earliest claim that it has: the originals order these two claims, and no others
  - when a claim says that it was made is its owner's word, and decides nothing

Would decide:
  - A's original: the stamped ticket with the canonical digest a1800e699746462da5b91da33b44141462dfbe51719ce140d6f6bd7b86616a70
  - a disclosure of a sealed panel of B's claim

"#]]);
}

#[test]
fn two_claims_may_be_of_one_key() {
    let folder = Folder::new();
    write(&folder, "stamped", stamped());
    write(&folder, "mine", &stamped_by(7, &stamped().model));
    let report = folder.json(&format!("dispute --key owner.pub {CLAIMS} {DISCLOSURES} {ORIGINALS} --json"));
    // Panel 0 is the same in both: it counts neither for one nor against it.
    assert_eq!(report["parties"][1]["in_other"]["verdict"], "marked");
    assert_eq!((&report["outcome"], &report["first"]), (&"one-inside".into(), &"A".into()));
}

#[test]
fn a_dispute_is_between_two_claims() {
    let folder = disputed(restamped());
    folder.refuses(
        "dispute --claim stamped.claim.json",
        str![[r#"
error: the following required arguments were not provided:
  --key <FILE>

Usage: counterfoil dispute --key <FILE> --claim <FILE> [SUSPECT]

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        "dispute --key owner.pub --claim stamped.claim.json",
        str![[r#"
error: --claim: 1 given, expected two
hint: a dispute is between two claims: give both, and the public keys that signed them

"#]],
    );
    folder.refuses(
        &format!("dispute {KEYS} --key owner.pub {CLAIMS}"),
        str![[r#"
error: --key: 3 given, expected two, or the one that signed both claims
hint: a dispute is between two claims: give both, and the public keys that signed them

"#]],
    );
    folder.refuses(
        &format!("dispute --key owner.pub --key owner.pub {CLAIMS}"),
        str![[r#"
error: owner.pub: is the key in owner.pub, expected the two owners' different keys
hint: if one key signed both claims, give it once

"#]],
    );
    folder.refuses(
        &format!("dispute {KEYS} --claim mine.claim.json --claim mine.claim.json"),
        str![[r#"
error: mine.claim.json: is the claim in mine.claim.json, expected two different claims
hint: give the claim of each owner, once

"#]],
    );
}

#[test]
fn claims_are_their_signers() {
    let folder = disputed(restamped());
    folder.refuses(&format!("dispute --key other.pub {CLAIMS}"), str![[r#"
error: stamped.claim.json: signed by key 324be2dea8bc44461b0233e51fa48902ed6b1cc671e7739af2551e0bfe68f54e, expected key 496410a672746eb3070ef5a040cafeb59fada74086efdb778ecc8a2fb90193e9
hint: give the public key of whoever made this claim, or another claim

"#]]);
    let third = OwnerKey::from_seed(&[9; 32]);
    folder.write("third.pub", third.public().to_pem().as_bytes());
    folder.refuses(&format!("dispute --key owner.pub --key third.pub {CLAIMS}"), str![[r#"
error: mine.claim.json: signed by key 496410a672746eb3070ef5a040cafeb59fada74086efdb778ecc8a2fb90193e9, expected key 324be2dea8bc44461b0233e51fa48902ed6b1cc671e7739af2551e0bfe68f54e or 3dba97edb866520d36063a0d9f79576893f3b13014ae7061d7c3dba608b9ec6a
hint: give the public key of whoever made this claim, or another claim

"#]]);
    write(&folder, "again", &stamped_by(7, &stamped().model));
    folder
        .refuses("dispute --key owner.pub --key third.pub --claim stamped.claim.json --claim again.claim.json", str![[r#"
error: third.pub: key 3dba97edb866520d36063a0d9f79576893f3b13014ae7061d7c3dba608b9ec6a signed neither claim, expected the keys that did, of which one is 324be2dea8bc44461b0233e51fa48902ed6b1cc671e7739af2551e0bfe68f54e
hint: give the claim that this key signed, or leave the key out

"#]]);
}

#[test]
fn disclosures_and_originals_belong_to_a_claim_each() {
    let folder = disputed(restamped());
    write(&folder, "stranger", unrelated());
    folder.refuses(&format!("dispute {KEYS} {CLAIMS} --disclosure stranger.disclosure"), str![[r#"
error: stranger.disclosure: made for claim 73b87d5b3bf6d7d4e0ae52a750901e7b2f7f345f76db7b69ddc019400eb577a4, expected claim abd6e8d649b25fea7d29d7a8a54bad5f057bb0f1e772ff1abc9f22b865d52d58 or d5e2ffd4349a27c3129f2d3cc6ade65da4fbdc076814917dcf53a583a9d1453e
hint: give the claim that was made with this disclosure's stamp, or leave it out

"#]]);
    folder.refuses(
        &format!("dispute {KEYS} {CLAIMS} --disclosure mine.disclosure --disclosure mine.disclosure"),
        str![[r#"
error: mine.disclosure: opens panel 1, as mine.disclosure does, expected each panel once
hint: give each panel's disclosure once

"#]],
    );
    folder.refuses(&format!("dispute {KEYS} {CLAIMS} --original stranger.safetensors"), str![[r#"
error: stranger.safetensors: the ticket has the digest 22a5e59a6c1c621ee64aa97d617022e8a3332a286725139b49aced713781e6bb, expected a1800e699746462da5b91da33b44141462dfbe51719ce140d6f6bd7b86616a70 or adcc40f2116aa7fa77a54556db3c0d895b313153383a89a6ed78f2cc4afc64a7, as the claims say
hint: an original is the stamped ticket as 'stamp' or 'find --key' wrote it, not a model trained from it, nor the ticket before it was stamped

"#]]);
    folder.write_model("copy.safetensors", &restamped().model);
    folder.refuses(&format!("dispute {KEYS} {CLAIMS} {ORIGINALS} --original copy.safetensors"), str![[r#"
error: copy.safetensors: is the ticket adcc40f2116aa7fa77a54556db3c0d895b313153383a89a6ed78f2cc4afc64a7, as mine.safetensors is, expected each original once
hint: give each original once

"#]]);
    folder.refuses(
        &format!("dispute {KEYS} {CLAIMS} --original owner.pub"),
        str![[r#"
error: owner.pub: starts with the bytes [2d, 2d, 2d, 2d, 2d, 42, 45, 47], expected safetensors or PyTorch
hint: owner.pub is a public key, and a model is needed here

"#]],
    );
    folder.refuses(
        &format!("dispute {KEYS} {CLAIMS} --disclosure stamped.claim.json"),
        str![[r#"
error: stamped.claim.json: disclosure: the JSON is malformed: missing field `version` at line 1 column 1688
hint: stamped.claim.json is a claim, and a disclosure is needed here

"#]],
    );
}
