//! `stamp --licensee`, and whose copy `verify` finds.

use snapbox::str;

use crate::kit::Folder;

const OWNERS: &str = "--owner-counterfoil stamped.counterfoil";

/// Two licensees' copies, the first one's panel disclosed.
fn licensed() -> Folder {
    let folder = Folder::stamped();
    for name in ["alpha", "beta"] {
        let stamp =
            format!("stamp stamped.safetensors --key owner.key --licensee {name} -o {name}.safetensors {OWNERS}");
        folder.run(&format!("{stamp} --unencrypted")).success();
        folder.run(&format!("disclose {name}.counterfoil --panel 1 -o {name}.disclosure")).success();
    }
    folder
}

fn verify(model: &str, licensee: &str) -> String {
    format!("verify {model} --key owner.pub --claim {licensee}.claim.json --disclosure {licensee}.disclosure")
}

#[test]
fn what_a_copy_will_carry_is_shown() {
    let folder = Folder::stamped();
    let stamp = "stamp stamped.safetensors --key owner.key --licensee Example -o example.safetensors --unencrypted \
                 --owner-counterfoil stamped.counterfoil";
    folder.run(stamp).success().stderr_eq("").stdout_eq(str![[r#"
stamped.safetensors: 5,937 weights kept in 2 layers, of which 354 move (6.0 %)

panel     positions  chip +1  after  log2 p   after  survives turnover of
1 sealed        726      358    712    -0.6  -629.4                68.1 %

Panel 1 is for 'Example' alone, at secret positions that all licensees' marks share. The owner's mark
is about as strong as before. A verdict takes log2 p of -64.0 or less.

wrote
example.safetensors  the stamped ticket, to be trained
example.claim.json   signed and public: verifiers need it
example.counterfoil  private: opens the sealed panels, keep it as safe as the key

"#]]);
    folder.run("inspect example.claim.json --key owner.pub").success().stdout_eq(str![[r#"
Claim on 'example.safetensors' (ticket 84e88ee80bbccc5813645781ee557a73f6f8660ffd99e32cd89b40649370f6be)
Signed by 324be2dea8bc44461b0233e51fa48902ed6b1cc671e7739af2551e0bfe68f54e: the signature fits
Copy of   'Example', a licensee: a mark of its own on top of the owner's
Claim id  184f1e9bee68780eaee0cc97febc08395cda598412b0729cf5e7ce20445ad65a
Stamped   2026-01-01T00:00:00Z by counterfoil 0.1.0, by swaps with 354 moved
Weights   initially random
Ticket    5,937 kept in 2 layers, one in 1 marked

panel       n  chip +1  log2 p when stamped
1 sealed  726      712               -629.4

"#]]);
    let summary = folder.json(&format!("{stamp} --dry-run --force --json"));
    assert_eq!(summary["licensee"], "Example");
    assert_eq!(folder.json("inspect example.claim.json --key owner.pub --json")["licensee"], "Example");
}

#[test]
fn hints_name_the_options_of_the_owners_counterfoil() {
    let folder = Folder::with_ticket();
    folder.write("pass", b"correct horse");
    folder.run("stamp ticket.safetensors --key owner.key -o stamped.safetensors --passphrase-file pass").success();
    let stamp = "stamp stamped.safetensors --key owner.key --licensee gamma -o gamma.safetensors --unencrypted";
    folder.refuses(
        &format!("{stamp} {OWNERS}"),
        str![[r#"
error: stamped.counterfoil: needs a passphrase, and there is no terminal to ask for it
hint: name a file with the passphrase: --owner-passphrase-file FILE, or the variable COUNTERFOIL_PASSPHRASE_FILE

"#]],
    );
    folder.run(&format!("{stamp} {OWNERS} --owner-passphrase-file pass")).success();
}

#[test]
fn a_copy_is_told_from_another() {
    let folder = licensed();
    folder.run(&verify("alpha.safetensors", "alpha")).success().stdout_eq(str![[r#"
alpha.safetensors: PROVEN for key 324be2dea8bc4446… (log2 p = -664.3, threshold -64.0)

  It means: the model comes from the copy that the owner of this key had made for 'alpha'. A
    model that has nothing to do with the key agrees this well with a chance of at most
    2^-664.3.
  It does not mean: that this licensee passed it on: the owner has the copy too, and a
    licensee's may have been stolen.

Claim: 'alpha.safetensors', the copy of 'alpha', stamped 2026-01-01T00:00:00Z by the owner's account; its signature fits.

   test         panel  read by    n  hits  by chance  log2 p  charged  result
*  sealed mask  1      zeros    726   718      363.0  -665.3       +1  -664.3
* decides; charged: bits paid for all ways of looking and choosing

The mark would survive another 68.7 % of the kept positions being moved at random.
Not tested: sealed triggers, since the claim states no triggers.

Assumed:
  - a claimant who tried 2^k keys or seeds gains k bits; the threshold of -64.0 bits has to cover them
  - nobody has established that the claim is older than the suspect: what it could have chosen to fit is paid for
  - a licensee's copy is made by the owner, who could have passed it on himself: it tells which copy the suspect comes from, not whose fault that is

"#]]);
    // Without its disclosure a licensee's claim has nothing to test.
    let bare = folder.json("verify alpha.safetensors --key owner.pub --claim alpha.claim.json --json");
    assert_eq!((&bare["verdict"], bare["tests"].as_array().unwrap().len()), (&"inconclusive".into(), 0));
    let theirs = folder.json(&format!("{} --json", verify("alpha.safetensors", "alpha")));
    assert_eq!((&theirs["verdict"], &theirs["licensee"]), (&"proven".into(), &"alpha".into()));
    let others = folder.json(&format!("{} --json", verify("alpha.safetensors", "beta")));
    let sealed = &others["tests"][0];
    assert_eq!((&sealed["level"], &sealed["panel"]), (&"sealed".into(), &"1".into()));
    assert!(sealed["log2_p"].as_f64().unwrap() > -20.0, "{sealed}");
    let text = folder.command(&verify("beta.safetensors", "alpha")).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("the mark of the copy for 'alpha' would have shown, and it does not."), "{text}");
    // Both carry the owner's mark.
    let owners = "--key owner.pub --claim stamped.claim.json --disclosure panel1.disclosure --json";
    for copy in ["alpha", "beta"] {
        let report = folder.json(&format!("verify {copy}.safetensors {owners}"));
        assert_eq!((&report["verdict"], &report["licensee"]), (&"proven".into(), &serde_json::Value::Null));
    }
}

#[test]
fn a_copy_with_shuffled_channels_is_told_too() {
    let folder = licensed();
    folder.run("attack permute alpha.safetensors -o shuffled.safetensors").success();
    let align = "--align --claim-is-older --json --counterfoil";
    let report = folder.json(&format!("{} {align} alpha.counterfoil", verify("shuffled.safetensors", "alpha")));
    assert_eq!(report["verdict"], "proven", "{report:#}");
    let report = folder.json(&format!("{} {align} beta.counterfoil", verify("shuffled.safetensors", "beta")));
    assert!(report["verdict"] != "proven", "{report:#}");
}

#[test]
fn copies_are_made_of_the_owners_stamped_ticket_alone() {
    let folder = licensed();
    let stamp = |ticket: &str, key: &str| {
        format!(
            "stamp {ticket}.safetensors --key {key}.key --licensee gamma -o gamma.safetensors --unencrypted {OWNERS}"
        )
    };
    folder.refuses(&stamp("ticket", "owner"), str![[r#"
error: ticket.safetensors: the ticket is not stamped, expected one with its owner's mark, on top of which a licensee's goes
hint: stamp it for its owner first: counterfoil stamp TICKET --key KEY -o STAMPED

"#]]);
    folder.refuses(
        &stamp("alpha", "owner"),
        str![[r#"
error: alpha.safetensors: the ticket has a licensee's mark already, expected the owner's stamped ticket
hint: make every licensee's copy from the ticket that 'counterfoil stamp' wrote for the owner

"#]],
    );
    folder.refuses(&stamp("stamped", "other"), str![[r#"
error: stamped.safetensors: the ticket and the owner's counterfoil do not belong together: the counterfoil is of another key
hint: give the ticket and the counterfoil that one 'counterfoil stamp' or 'find --key' wrote, and the key it had

"#]]);
    folder.refuses(
        &format!("{} --dilution 2", stamp("stamped", "owner")),
        str![[r#"
error: the argument '--licensee <NAME>' cannot be used with '--dilution <D>'

Usage: counterfoil stamp --key <FILE> --output <FILE> --licensee <NAME> --unencrypted --owner-counterfoil <FILE> <TICKET>

For more information, try '--help'.

"#]],
    );
    let empty = folder.command("stamp stamped.safetensors --key owner.key -o x.safetensors").args([
        "--licensee",
        "",
        "--owner-counterfoil",
        "x",
    ]);
    empty.assert().code(2).stdout_eq("").stderr_eq(str![[r#"
error: invalid value '' for '--licensee <NAME>': expected 1 to 1024 bytes without control characters

For more information, try '--help'.

"#]]);
}
