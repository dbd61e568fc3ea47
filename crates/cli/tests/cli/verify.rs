use counterfoil_ticket::{Array, Kind, Mask, Model};
use snapbox::str;

use crate::kit::{Folder, Random, Size, stamped, ticket};

const PROVE: &str = "verify stamped.safetensors --key owner.pub --claim stamped.claim.json --disclosure";

#[test]
fn a_stamped_ticket_is_proven_with_claim_and_disclosure() {
    let run = Folder::stamped().run(&format!("{PROVE} panel1.disclosure"));
    run.code(0).stderr_eq("").stdout_eq(str![[r#"
stamped.safetensors: PROVEN for key 324be2dea8bc4446… (log2 p = -169.6, threshold -64.0)

  It means: the model carries a mark that the owner of this key had sealed under a signed claim.
    A model that has nothing to do with the key agrees this well with a chance of at most
    2^-169.6.
  It does not mean: that its holder has no licence, or that nobody else had a part in it.

Claim: 'stamped.safetensors', stamped 2026-01-01T00:00:00Z by the owner's account; its signature fits.

   test             panel  read by          n  hits  by chance  log2 p  charged  result
*  sealed mask      1      zeros, 1 in 8  390   339      195.0  -175.6       +6  -169.6
   sealed triggers  1      answers         40     3        4.0    -0.3       +6     0.0
   public mask      0      zeros, 1 in 8  375   329      187.5  -177.4       +8  -169.4
   public triggers  0      answers         40     3        4.0    -0.3       +2     0.0
* decides; charged: bits paid for all ways of looking and choosing

The mark would survive another 36.9 % of the kept positions being moved at random.

Assumed:
  - a claimant who tried 2^k keys or seeds gains k bits; the threshold of -64.0 bits has to cover them
  - nobody has established that the claim is older than the suspect: what it could have chosen to fit is paid for
  - panel 0 follows from the public key: whoever knows the key can imitate its mark, or aim at it
  - the network that was asked answers as the suspect does, and was not told the labels

"#]]);
}

#[test]
fn it_is_marked_with_the_key_alone() {
    Folder::stamped().run("verify stamped.safetensors --key owner.pub").code(0).stderr_eq("").stdout_eq(str![[r#"
stamped.safetensors: MARKED for key 324be2dea8bc4446… (log2 p = -173.4, threshold -64.0)

  It means: the model carries the public mark of this key. A model that has nothing to do with
    the key agrees this well with a chance of at most 2^-173.4.
  It does not mean: that the key's owner put it there: whoever knows the public key could have.
    A claim and a disclosure tell.

   test             panel  read by          n  hits  by chance  log2 p  charged  result
*  public mask      0      zeros, 1 in 8  375   329      187.5  -177.4       +4  -173.4
   public triggers  0      answers         40     3        4.0    -0.3       +1     0.0
* decides; charged: bits paid for all ways of looking and choosing

The mark would survive another 38.1 % of the kept positions being moved at random.
1 of 3 layers have no zeros, and were left out: fc3.weight.

Assumed:
  - a claimant who tried 2^k keys or seeds gains k bits; the threshold of -64.0 bits has to cover them
  - the key was fixed before the suspect was made public
  - panel 0 follows from the public key: whoever knows the key can imitate its mark, or aim at it
  - the network that was asked answers as the suspect does, and was not told the labels

Would make it stronger:
  - a claim signed by this key and a disclosure of a sealed panel

"#]]);
}

#[test]
fn it_is_no_match_for_another_key() {
    Folder::stamped().run("verify stamped.safetensors --key other.pub").code(1).stderr_eq("").stdout_eq(str![[r#"
stamped.safetensors: NO MATCH for key 496410a672746eb3… (log2 p = 0.0, threshold -64.0)

  It means: the mark of this key would have shown, and it does not.
  It does not mean: that the model was never related to the key: enough retraining, or shuffled
    channels, remove the mark.

   test             panel  read by               n  hits  by chance  log2 p  charged  result
*  public mask      0      ranks 0.05, 1 in 8  158    85       79.0    -2.3       +7     0.0
   public triggers  0      answers              40     4        4.0    -0.7       +1     0.0
* comes closest; charged: bits paid for all ways of looking and choosing

Assumed:
  - a claimant who tried 2^k keys or seeds gains k bits; the threshold of -64.0 bits has to cover them
  - the key was fixed before the suspect was made public
  - panel 0 follows from the public key: whoever knows the key can imitate its mark, or aim at it
  - the network that was asked answers as the suspect does, and was not told the labels

Would make it stronger:
  - a claim signed by this key and a disclosure of a sealed panel

"#]]);
}

#[test]
fn too_little_is_inconclusive() {
    let folder = Folder::new();
    let mut small = ticket(Size::Small);
    for (name, mask) in std::mem::take(&mut small.masks) {
        mask.apply(small.arrays.get_mut(&name).unwrap().values_mut());
    }
    folder.write_model("small.safetensors", &small);
    folder.run("verify small.safetensors --key owner.pub --tests mask --threshold -600").code(3).stdout_eq(str![[r#"
small.safetensors: INCONCLUSIVE for key 324be2dea8bc4446… (log2 p = -0.7, threshold -600.0)

  It means: too little is left to look at: the mark could be all there and yet miss the
    threshold.
  It does not mean: that the model is unrelated to the key, nor that it is not.

   test         panel  read by         n  hits  by chance  log2 p  charged  result
*  public mask  0      zeros, 1 in 4  31    20       15.5    -3.7       +3    -0.7
* comes closest; charged: bits paid for all ways of looking and choosing

1 of 3 layers have no zeros, and were left out: fc3.weight.
Not tested: triggers, since not asked for.

Assumed:
  - a claimant who tried 2^k keys or seeds gains k bits; the threshold of -600.0 bits has to cover them
  - the key was fixed before the suspect was made public
  - panel 0 follows from the public key: whoever knows the key can imitate its mark, or aim at it

Would make it stronger:
  - a claim signed by this key and a disclosure of a sealed panel
  - access to the suspect as a black box, for the trigger test
  - a suspect that keeps about 589 more of the active positions of panel 0, 1 in 8 of all

"#]]);
}

/// The stamped ticket with its hidden channels in another order: channel c becomes channel 7c + 3, modulo their number.
fn write_permuted(folder: &Folder) {
    let mut model = stamped().model.clone();
    let widths = [64, 300, 100, 10];
    let to = |group: usize, c: usize| if (1..3).contains(&group) { (7 * c + 3) % widths[group] } else { c };
    for layer in 1..=3 {
        let (inputs, outputs) = (widths[layer - 1], widths[layer]);
        let name = format!("fc{layer}.weight");
        let place = |p: usize| to(layer, p / inputs) * inputs + to(layer - 1, p % inputs);
        let array = model.arrays.get_mut(&name).unwrap();
        let old = array.values().to_vec();
        old.iter().enumerate().for_each(|(p, value)| array.values_mut()[place(p)] = *value);
        if let Some(mask) = model.masks.get_mut(&name) {
            let old = mask.clone();
            *mask = Mask::empty(old.size());
            old.positions().for_each(|p| mask.set(place(p), true));
        }
        if let Some(bias) = model.arrays.get_mut(&format!("fc{layer}.bias")) {
            let old = bias.values().to_vec();
            (0..outputs).for_each(|c| bias.values_mut()[to(layer, c)] = old[c]);
        }
    }
    folder.write_model("permuted.safetensors", &model);
}

const PERMUTED: &str =
    "verify permuted.safetensors --key owner.pub --claim stamped.claim.json --disclosure panel1.disclosure";

#[test]
fn permuted_channels_are_aligned_on_request() {
    let folder = Folder::stamped();
    write_permuted(&folder);
    folder.run(PERMUTED).code(1).stdout_eq(str![[r#"
permuted.safetensors: NO MATCH for key 324be2dea8bc4446… (log2 p = 0.0, threshold -64.0)

  It means: the mark of this key would have shown, and it does not.
  It does not mean: that the model was never related to the key: enough retraining, or shuffled
    channels, remove the mark.

Claim: 'stamped.safetensors', stamped 2026-01-01T00:00:00Z by the owner's account; its signature fits.

   test             panel  read by          n  hits  by chance  log2 p  charged  result
   sealed mask      1      zeros, 1 in 8  367   182      183.5    -0.7       +6     0.0
   sealed triggers  1      answers         40     3        4.0    -0.3       +6     0.0
*  public mask      0      zeros, 1 in 8  373   188      186.5    -1.1       +8     0.0
   public triggers  0      answers         40     3        4.0    -0.3       +2     0.0
* comes closest; charged: bits paid for all ways of looking and choosing

Assumed:
  - a claimant who tried 2^k keys or seeds gains k bits; the threshold of -64.0 bits has to cover them
  - nobody has established that the claim is older than the suspect: what it could have chosen to fit is paid for
  - panel 0 follows from the public key: whoever knows the key can imitate its mark, or aim at it
  - the network that was asked answers as the suspect does, and was not told the labels

Would make it stronger:
  - the owner's reference mask, for a look under permuted channels

"#]]);
    folder
        .run(&format!("{PERMUTED} --counterfoil stamped.counterfoil --align --claim-is-older"))
        .code(0)
        .stderr_eq("")
        .stdout_eq(str![[r#"
permuted.safetensors: PROVEN for key 324be2dea8bc4446… (log2 p = -173.6, threshold -64.0)

  It means: the model carries a mark that the owner of this key had sealed under a signed claim.
    A model that has nothing to do with the key agrees this well with a chance of at most
    2^-173.6.
  It does not mean: that its holder has no licence, or that nobody else had a part in it.

Claim: 'stamped.safetensors', stamped 2026-01-01T00:00:00Z by the owner's account; its signature fits.

   test             panel  read by                  n  hits  by chance  log2 p  charged  result
*  sealed mask      1      aligned zeros, 1 in 8  390   339      195.0  -175.6       +2  -173.6
   sealed triggers  1      answers                 40     3        4.0    -0.3       +1     0.0
   public mask      0      zeros, 1 in 8          373   188      186.5    -1.1       +3     0.0
   public triggers  0      answers                 40     3        4.0    -0.3       +1     0.0
* decides; charged: bits paid for all ways of looking and choosing

The mark would survive another 38.7 % of the kept positions being moved at random.
Of the reference mask's positions it keeps 713, where chance would give 716: corroboration only.
The mark was read after the model's channels were aligned with the reference mask, at the positions of panel 0 alone (similarity 0.62).

Assumed:
  - a claimant who tried 2^k keys or seeds gains k bits; the threshold of -64.0 bits has to cover them
  - the verifier has established that the claim was fixed before the suspect existed: nothing in it was chosen for this suspect
  - panel 0 follows from the public key: whoever knows the key can imitate its mark, or aim at it
  - the network that was asked answers as the suspect does, and was not told the labels

"#]]);
}

#[test]
fn the_choice_of_an_alignment_is_charged_to_a_claim_that_may_be_younger() {
    let folder = Folder::stamped();
    write_permuted(&folder);
    folder.run(&format!("{PERMUTED} --counterfoil stamped.counterfoil --align --tests mask")).code(3).stdout_eq(str![[r#"
permuted.safetensors: INCONCLUSIVE for key 324be2dea8bc4446… (log2 p = 0.0, threshold -64.0)

  It means: the model agrees with this key once its channels are aligned with the reference
    mask. But that mask may have been written to fit the model, as long as it is not known which
    of the two is older.
  It does not mean: that the model is unrelated to the key, nor that it is not.

Claim: 'stamped.safetensors', stamped 2026-01-01T00:00:00Z by the owner's account; its signature fits.

   test         panel  read by                  n  hits  by chance  log2 p  charged  result
   sealed mask  1      aligned zeros, 1 in 8  390   339      195.0  -175.6    +2572     0.0
*  public mask  0      aligned zeros, 1 in 8  375   329      187.5  -177.4    +2604     0.0
* comes closest; charged: bits paid for all ways of looking and choosing

Of the reference mask's positions it keeps 713, where chance would give 716: corroboration only.
The mark was read after the model's channels were aligned with the reference mask, at the positions of panel 1 alone (similarity 0.63).
Not tested: triggers, since not asked for.

Assumed:
  - a claimant who tried 2^k keys or seeds gains k bits; the threshold of -64.0 bits has to cover them
  - nobody has established that the claim is older than the suspect: what it could have chosen to fit is paid for
  - panel 0 follows from the public key: whoever knows the key can imitate its mark, or aim at it

Would make it stronger:
  - that the claim was fixed before the suspect existed, by a witnessed digest for instance: a test then costs 2571 bits less, and reaches the threshold
  - access to the suspect as a black box, for the trigger test

"#]]);
}

#[test]
fn alignment_needs_the_counterfoil() {
    let folder = Folder::stamped();
    folder.refuses(
        &format!("{PROVE} panel1.disclosure --align"),
        str![[r#"
error: the following required arguments were not provided:
  --counterfoil <FILE>

Usage: counterfoil verify --key <FILE> --claim <FILE> --counterfoil <FILE> --disclosure <FILE> --align <MODEL>

For more information, try '--help'.

"#]],
    );
}

#[test]
fn the_report_is_json_on_request() {
    let folder = Folder::stamped();
    let report = folder.json(&format!("{PROVE} panel1.disclosure --json"));
    assert_eq!((&report["verdict"], &report["threshold"]), (&"proven".into(), &(-64.0).into()));
    assert!(report["log2_p"].as_f64().unwrap() <= -150.0);
    let test = &report["tests"][0];
    assert_eq!((&test["kind"], &test["panel"], &test["q"]), (&"mask".into(), &"1".into(), &0.5.into()));
}

#[test]
fn networks_that_are_not_known_are_not_asked() {
    let folder = Folder::stamped();
    let mut random = Random(1);
    let values: Vec<f32> = (0..8000).map(|_| if random.share() < 0.6 { 0.0 } else { random.weight() }).collect();
    let arrays = [("blob".to_owned(), Array::new(vec![80, 100], values).unwrap())].into();
    folder.write_model("blob.safetensors", &Model { arrays, ..Model::default() });
    folder.run("verify blob.safetensors --key owner.pub").code(1).stdout_eq(str![[r#"
blob.safetensors: NO MATCH for key 324be2dea8bc4446… (log2 p = -0.2, threshold -64.0)

  It means: the mark of this key would have shown, and it does not.
  It does not mean: that the model was never related to the key: enough retraining, or shuffled
    channels, remove the mark.

   test         panel  read by      n  hits  by chance  log2 p  charged  result
*  public mask  0      ranks 0.01  46    31       23.0    -6.2       +6    -0.2
* comes closest; charged: bits paid for all ways of looking and choosing

Not tested: triggers, since the model cannot be asked: it is no network that counterfoil knows (mlp, resnet20, resnet18, resnet50, vgg16).

Assumed:
  - a claimant who tried 2^k keys or seeds gains k bits; the threshold of -64.0 bits has to cover them
  - the key was fixed before the suspect was made public
  - panel 0 follows from the public key: whoever knows the key can imitate its mark, or aim at it

Would make it stronger:
  - a claim signed by this key and a disclosure of a sealed panel
  - access to the suspect as a black box, for the trigger test

"#]]);
    folder.refuses("verify blob.safetensors --key owner.pub --tests trigger", str![[r#"
error: blob.safetensors: cannot be asked for its answers to triggers: it is no network that counterfoil knows (mlp, resnet20, resnet18, resnet50, vgg16)
hint: leave --tests out to test what can be tested

"#]]);
}

#[test]
fn a_network_without_a_description_is_recognised() {
    let folder = Folder::stamped();
    let model = Model { description: Default::default(), masks: Default::default(), ..stamped().model.clone() };
    folder.write_model("bare.safetensors", &model);
    let report = folder.json("verify bare.safetensors --key owner.pub --json --normalisation 0.5:0.25");
    assert_eq!(report["verdict"], "marked");
    let assumptions = report["assumptions"].as_array().unwrap();
    assert!(assumptions.contains(&"the model is a mlp, images 1x8x8, hidden 300, 100, 10 classes".into()), "{report}");
    assert_eq!(report["skipped"], serde_json::json!([]));
    folder.refuses(
        "verify bare.safetensors --key owner.pub --normalisation 0,0,0:1,1,1",
        str![[r#"
error: --normalisation is for 3 channels, expected 1, as the model's images have

"#]],
    );
}

#[test]
fn a_description_that_lies_is_not_believed() {
    let folder = Folder::stamped();
    let mut model = stamped().model.clone();
    model.description.kind = Kind::Model;
    model.arrays.remove("fc2.weight");
    model.masks.remove("fc2.weight");
    folder.write_model("lies.safetensors", &model);
    let report = folder.json("verify lies.safetensors --key owner.pub --json");
    let reason = "the model cannot be asked: it calls itself a mlp, but its tensors are not one's";
    assert_eq!(report["skipped"][0]["reason"], reason);
}

#[test]
fn a_disclosure_needs_its_claim() {
    let folder = Folder::stamped();
    folder.refuses(
        "verify stamped.safetensors --key owner.pub --disclosure panel1.disclosure",
        str![[r#"
error: panel1.disclosure: a disclosure proves nothing without the claim that it belongs to
hint: give the claim that was made with the stamp too: --claim stamped.claim.json

"#]],
    );
    folder.refuses(
        &format!("{PROVE} panel1.disclosure --disclosure panel1.disclosure"),
        str![[r#"
error: panel1.disclosure: opens panel 1, as panel1.disclosure does, expected each panel once
hint: give each panel's disclosure once

"#]],
    );
}

#[test]
fn a_claim_is_its_signer_s() {
    let folder = Folder::stamped();
    folder.refuses("verify stamped.safetensors --key other.pub --claim stamped.claim.json", str![[r#"
error: stamped.claim.json: claim: signed by key 324be2dea8bc44461b0233e51fa48902ed6b1cc671e7739af2551e0bfe68f54e, expected key 496410a672746eb3070ef5a040cafeb59fada74086efdb778ecc8a2fb90193e9
hint: this is another owner's claim: give that owner's public key, or this key's claim

"#]]);
    let claim = String::from_utf8(folder.read("stamped.claim.json")).unwrap();
    let at = claim.find("payload\":\"").unwrap() + 40;
    let other = if &claim[at..=at] == "A" { "B" } else { "A" };
    folder.write("changed.claim.json", format!("{}{other}{}", &claim[..at], &claim[at + 1..]).as_bytes());
    folder.refuses("verify stamped.safetensors --key owner.pub --claim changed.claim.json", str![[r#"
error: changed.claim.json: claim: the signature does not fit the payload under key 324be2dea8bc44461b0233e51fa48902ed6b1cc671e7739af2551e0bfe68f54e
hint: the claim was changed after it was signed: ask for the original

"#]]);
    folder.write("cut.claim.json", &claim.as_bytes()[..100]);
    folder.refuses(
        "verify stamped.safetensors --key owner.pub --claim cut.claim.json",
        str![[r#"
error: cut.claim.json: claim: the envelope is malformed: EOF while parsing a string at line 1 column 100
hint: the file is of the right kind, but cut off, damaged or edited: get a fresh copy

"#]],
    );
}

#[test]
fn a_disclosure_is_its_claim_s() {
    let folder = Folder::stamped();
    folder.run("stamp ticket.safetensors --key owner.key -o again.safetensors --unencrypted --target -170").success();
    let again = "verify again.safetensors --key owner.pub --claim again.claim.json --disclosure panel1.disclosure";
    folder.refuses(again, str![[r#"
error: panel1.disclosure: disclosure: made for claim abd6e8d649b25fea7d29d7a8a54bad5f057bb0f1e772ff1abc9f22b865d52d58, expected claim 9cbe850b2bce8ddcf37322ca528cfcb1efef80d01883079c4c5996c8fc6b877a
hint: give the claim that was made with the same stamp as this disclosure's counterfoil

"#]]);
    let disclosure = String::from_utf8(folder.read("panel1.disclosure")).unwrap();
    folder.write("panel2.disclosure", disclosure.replace("\"panel\": 1", "\"panel\": 2").as_bytes());
    folder.refuses(
        &format!("{PROVE} panel2.disclosure"),
        str![[r#"
error: panel2.disclosure: disclosure: opens panel 2, expected one of the claim's sealed panels 1 to 1

"#]],
    );
    folder.write("newer.disclosure", disclosure.replace("\"version\": 1", "\"version\": 9").as_bytes());
    folder.refuses(
        &format!("{PROVE} newer.disclosure"),
        str![[r#"
error: newer.disclosure: disclosure: version 9, expected version 1
hint: another counterfoil version made it: update to read it

"#]],
    );
}

#[test]
fn files_are_not_mistaken_for_each_other() {
    let folder = Folder::stamped();
    folder.refuses(
        "verify stamped.safetensors --key owner.key",
        str![[r#"
error: owner.key: key: found a private key, expected a public key
hint: give the public half: owner.pub; the private one is for nobody else's eyes

"#]],
    );
    folder.refuses(
        "verify stamped.safetensors --key stamped.claim.json",
        str![[r#"
error: stamped.claim.json: key: no PEM block found, expected one of PRIVATE KEY, ENCRYPTED PRIVATE KEY or PUBLIC KEY
hint: stamped.claim.json is a claim, and a key is needed here

"#]],
    );
    folder.refuses(
        "verify stamped.counterfoil --key owner.pub",
        str![[r#"
error: stamped.counterfoil: starts with the bytes [7b, 22, 76, 65, 72, 73, 69, 6f], expected safetensors or PyTorch
hint: stamped.counterfoil is a counterfoil, and a model is needed here

"#]],
    );
    folder.refuses(
        "verify owner.pub --key owner.pub",
        str![[r#"
error: owner.pub: starts with the bytes [2d, 2d, 2d, 2d, 2d, 42, 45, 47], expected safetensors or PyTorch
hint: owner.pub is a public key, and a model is needed here

"#]],
    );
    folder.refuses("verify stamped.safetensors --key owner.pub --claim stamped.counterfoil", str![[r#"
error: stamped.counterfoil: claim: the envelope is malformed: unknown field `version`, expected one of `payloadType`, `payload`, `signatures` at line 1 column 10
hint: stamped.counterfoil is a counterfoil, and a claim is needed here

"#]]);
    folder.refuses(
        &format!("{PROVE} stamped.claim.json"),
        str![[r#"
error: stamped.claim.json: disclosure: the JSON is malformed: missing field `version` at line 1 column 1688
hint: stamped.claim.json is a claim, and a disclosure is needed here

"#]],
    );
    folder.refuses(
        &format!("{PROVE} stamped.safetensors"),
        str![[r#"
error: stamped.safetensors: more than 65536 bytes, expected a disclosure
hint: stamped.safetensors is a model, and a disclosure is needed here

"#]],
    );
}

#[test]
fn models_that_cannot_be_read_are_named() {
    let folder = Folder::stamped();
    folder.refuses(
        "verify nowhere.bin --key owner.pub",
        str![[r#"
error: nowhere.bin: cannot be read: No such file or directory (os error 2)

"#]],
    );
    folder.refuses(
        "verify no/where.bin --key owner.pub",
        str![[r#"
error: no/where.bin: cannot be read: No such file or directory (os error 2)
hint: there is no folder no

"#]],
    );
    folder.write("text.bin", b"hello world");
    folder.refuses(
        "verify text.bin --key owner.pub",
        str![[r#"
error: text.bin: starts with the bytes [68, 65, 6c, 6c, 6f, 20, 77, 6f], expected safetensors or PyTorch
hint: models are safetensors or PyTorch files; others have to be converted first

"#]],
    );
    folder.write("empty.bin", b"");
    folder.refuses(
        "verify empty.bin --key owner.pub",
        str![[r#"
error: empty.bin: starts with the bytes [], expected safetensors or PyTorch
hint: empty.bin is empty, and a model is needed here

"#]],
    );
    let mut cut = folder.read("stamped.safetensors");
    cut.truncate(cut.len() - 1);
    folder.write("cut.bin", &cut);
    folder.refuses(
        "verify cut.bin --key owner.pub",
        str![[r#"
error: cut.bin: tensor 'fc2.weight_mask' ends at byte 252544, but the file holds 252543
hint: was the file copied or downloaded to its end?

"#]],
    );
    let nan = ticket(Size::Usual);
    let length = nan.arrays["fc1.weight"].size();
    let full = Model { masks: [("fc1.weight".to_owned(), Mask::full(length))].into(), ..nan };
    folder.write_model("nan.bin", &full);
    let mut bytes = folder.read("nan.bin");
    // The floats come first, the masks' bytes last: overwrite one of the floats before them.
    let at = bytes.len() - length - 4;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    folder.write("nan.bin", &bytes);
    folder.refuses(
        "verify nan.bin --key owner.pub",
        str![[r#"
error: nan.bin: tensor 'fc3.weight' is NaN at position 999, expected a finite number

"#]],
    );
}

#[test]
fn names_cannot_steer_the_terminal() {
    let folder = Folder::new();
    let name = "\u{1b}[2Jconv".to_owned();
    let arrays = [(name, Array::new(vec![2, 2], vec![1.0, 0.0, f32::MAX, 0.0]).unwrap())].into();
    folder.write_model("evil.safetensors", &Model { arrays, ..Model::default() });
    let output = folder.command("inspect evil.safetensors").output().unwrap();
    assert!(output.status.success());
    assert!(!output.stdout.contains(&0x1b), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_panel_is_disclosed_once() {
    let folder = Folder::stamped();
    folder.write("again.disclosure", &folder.read("panel1.disclosure"));
    folder.refuses(
        &format!("{PROVE} panel1.disclosure --disclosure again.disclosure"),
        str![[r#"
error: again.disclosure: opens panel 1, as panel1.disclosure does, expected each panel once
hint: give each panel's disclosure once

"#]],
    );
}

#[test]
fn line_ends_in_names_are_written_out() {
    let folder = Folder::with_ticket();
    let mut bytes = folder.read("ticket.safetensors");
    let length = ticket(Size::Usual).masks.values().map(Mask::size).sum::<usize>();
    let at = bytes.len() - length - 4; // the last float, before the masks' bytes
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    folder.write("nan.bin", &bytes);
    folder.write_renamed("nan.bin", "evil.bin", "fc3.weight", "fc3\nhint: all is well");
    let output = folder.command("verify evil.bin --key owner.pub --tests mask").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let name = "fc3\\nhint: all is well";
    let said = format!("error: evil.bin: tensor '{name}' is NaN at position 999, expected a finite number\n");
    assert_eq!((output.status.code(), stderr), (Some(2), said));
}

#[test]
fn a_suspect_of_other_shapes_is_inconclusive() {
    let folder = Folder::stamped();
    let arrays = [("w".to_owned(), Array::new(vec![20, 20], [1.0, 0.0].repeat(200)).unwrap())].into();
    folder.write_model("other.bin", &Model { arrays, ..Model::default() });
    let verify = "verify other.bin --key owner.pub --claim stamped.claim.json";
    let stdout = String::from_utf8(folder.command(verify).output().unwrap().stdout).unwrap();
    assert!(stdout.contains("INCONCLUSIVE") && stdout.contains("no mask was tested"), "{stdout}");
    // The same with its triggers asked and missed: the ticket is not trained.
    let triggers = "verify stamped.safetensors --key owner.pub --tests trigger";
    folder.run(triggers).code(3);
}
