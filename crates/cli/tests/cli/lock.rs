use std::path::Path;

use counterfoil_ticket::{Architecture, ImageShape, Kind};
use snapbox::str;

use crate::kit::{Folder, Size, ticket};

const LOCK: &str =
    "lock stamped.safetensors --strategy magnitude --fraction 0.1 -o locked.safetensors --key-mask key.mask";

#[test]
fn a_locked_ticket_unlocks_to_the_digest_of_its_claim() {
    let folder = Folder::stamped();
    folder.run(&format!("{LOCK} --unencrypted")).success().stderr_eq("").stdout_eq(str![[r#"
locked.safetensors  the locked ticket, to publish
key.mask  the key mask, for licensees: 594 of 5937 weights (10.0 %), chosen by magnitude

"#]]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(folder.path("key.mask").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let summary = folder.json("unlock locked.safetensors --key-mask key.mask -o whole.safetensors --json");
    let claim = folder.json("inspect stamped.claim.json --key owner.pub --json");
    assert_eq!(summary["digest"], claim["subject_digest"], "{summary} {claim}");
    assert_eq!(summary["given_back"], 594);
    // The mark is in the locked ticket too.
    folder.run("verify locked.safetensors --key owner.pub --tests mask").code(0);
}

#[test]
fn a_recipient_opens_it_and_nobody_else() {
    let folder = Folder::stamped();
    // The identity of age's own test vectors (C2SP, CCTV).
    folder.write("other", b"AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX");
    let ssh = Path::new(env!("CARGO_MANIFEST_DIR")).join("../claim/tests/ssh");
    let public = std::fs::read_to_string(ssh.join("id_ed25519.pub")).unwrap();
    folder.command(LOCK).args(["--recipient", &public]).assert().success();
    folder.refuses(
        "unlock locked.safetensors --key-mask key.mask -o whole.safetensors",
        str![[r#"
error: key.mask: key mask: the file is encrypted to recipients, and no identity was given
hint: name the private key of one of its recipients: --identity FILE (--owner-identity for an owner's counterfoil)

"#]],
    );
    folder.refuses(
        "unlock locked.safetensors --key-mask key.mask -i other -o whole.safetensors",
        str![[r#"
error: key.mask: key mask: none of the identities opens the file
hint: it was encrypted to other recipients: name one of their private keys with --identity

"#]],
    );
    let identity = ssh.join("id_ed25519");
    let unlock =
        format!("unlock locked.safetensors --key-mask key.mask -i {} -o whole.safetensors", identity.display());
    folder.run(&unlock).success();
}

#[test]
fn what_cannot_be_locked_or_unlocked_is_told() {
    let folder = Folder::stamped();
    folder.run(&format!("{LOCK} --unencrypted")).success();
    folder.refuses(
        "lock locked.safetensors --strategy random -o l --key-mask k --unencrypted",
        str![[r#"
error: locked.safetensors: the ticket is locked already, expected a whole one
hint: 'counterfoil unlock' makes it whole, with its key mask

"#]],
    );
    folder.refuses(
        "unlock stamped.safetensors --key-mask key.mask -o whole",
        str![[r#"
error: stamped.safetensors: the ticket is not locked, expected one that 'lock' wrote
hint: 'counterfoil lock' writes locked tickets; this one may be whole

"#]],
    );
    folder.refuses(
        "lock stamped.safetensors --strategy taylor -o l --key-mask k --unencrypted",
        str![[r#"
error: the strategy asks the network about training images, and no data are given
hint: name the training data: --data digits, or a folder

"#]],
    );
    folder.refuses(
        "lock stamped.safetensors --strategy random --fraction 1 -o l --key-mask k --unencrypted",
        str![[r#"
error: invalid value '1' for '--fraction <SHARE>': expected a share above 0 and below 1, such as 0.05

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        "lock stamped.safetensors --strategy random --fraction 0.00001 -o l --key-mask k --unencrypted",
        str![[r#"
error: stamped.safetensors: a share of 0.00001 is 0 of the ticket's 5937 kept weights, expected at least 1 and not all

"#]],
    );
    folder.refuses(
        "unlock locked.safetensors --key-mask stamped.claim.json -o whole",
        str![[r#"
error: stamped.claim.json: key mask: the JSON is malformed: missing field `version` at line 1 column [..]
hint: stamped.claim.json is a claim, and a key mask is needed here

"#]],
    );
    folder.refuses(
        "qr embed locked.safetensors --text x -o x",
        str![[r#"
error: locked.safetensors: the ticket is locked, expected a whole one
hint: 'counterfoil unlock' makes it whole, with its key mask

"#]],
    );
    folder.refuses(
        "stamp locked.safetensors --key owner.key -o x --unencrypted",
        str![[r#"
error: locked.safetensors: the ticket is locked, expected a whole one
hint: 'counterfoil unlock' makes it whole, with its key mask

"#]],
    );
    folder.refuses(
        "train locked.safetensors --data digits --counterfoil stamped.counterfoil -o x",
        str![[r#"
error: locked.safetensors: its masks are not those of stamped.counterfoil
hint: the ticket is locked: 'counterfoil unlock' makes it whole, with its key mask; as it is, it is trained without --counterfoil

"#]],
    );
    folder.run("lock stamped.safetensors --strategy random -o other.safetensors --key-mask other.mask --unencrypted");
    folder.refuses(
        "unlock other.safetensors --key-mask key.mask -o whole",
        str![[r#"
error: other.safetensors: the key mask opens the locked ticket [..], found [..]
hint: give the key mask that was written with this locked ticket

"#]],
    );
}

#[test]
fn key_masks_are_for_tickets() {
    let folder = Folder::new();
    let mut model = ticket(Size::Small);
    model.description.kind = Kind::Model;
    folder.write_model("model.safetensors", &model);
    folder
        .run("lock model.safetensors --strategy magnitude -o locked.safetensors --key-mask key.mask --unencrypted")
        .success()
        .stderr_eq(str![[r#"
warning: model.safetensors: is a trained model, or does not say that it is a ticket: key masks are for rewound weights, which are trained when the ticket is whole again

"#]]);
}

#[test]
fn sampled_betweenness_tells_its_error() {
    let folder = Folder::new();
    folder.write_model("ticket.safetensors", &ticket(Size::Small));
    let lock = |options: &str| {
        format!("lock ticket.safetensors --strategy betweenness {options} -o l --key-mask k --unencrypted --force")
    };
    folder.run(&lock("--sources 8")).success().stderr_eq("").stdout_eq(str![[r#"
l  the locked ticket, to publish
k  the key mask, for licensees: 14 of 287 weights (4.9 %), chosen by betweenness

betweenness is estimated from a sample: with a confidence of 95 % it is nowhere off by more than 36701.0.
The largest value is 711.0, and the least that is held back 0.0. This says nothing about which weights matter
most: draw more --sources, or leave them out for the exact values.

"#]]);
    folder.run(&lock("--sources 470")).success().stderr_eq("").stdout_eq(str![[r#"
l  the locked ticket, to publish
k  the key mask, for licensees: 14 of 287 weights (4.9 %), chosen by betweenness

betweenness is estimated from a sample: with a confidence of 95 % it is nowhere off by more than 217.7.
The largest value is 33.3, and the least that is held back 22.2. This says nothing about which weights matter
most: draw more --sources, or leave them out for the exact values.

"#]]);
    folder.run(&lock("--sources 474")).success().stderr_eq("").stdout_eq(str![[r#"
l  the locked ticket, to publish
k  the key mask, for licensees: 14 of 287 weights (4.9 %), chosen by betweenness

"#]]);
    let certainty = folder.json(&lock("--sources 8 --json"))["certainty"].clone();
    assert_eq!((&certainty["confidence"], &certainty["certain"]), (&0.95.into(), &0.into()), "{certainty}");
    assert!(certainty["error"].as_f64() > certainty["largest"].as_f64(), "{certainty}");
    assert!(folder.json(&lock("--json"))["certainty"].is_null());
}

#[test]
fn who_asks_the_network_says_so() {
    let folder = Folder::new();
    folder.write_model("ticket.safetensors", &ticket(Size::Small));
    let lock = "lock ticket.safetensors --strategy taylor --data digits --probe 3 -o l --key-mask k --unencrypted";
    folder.run(lock).success().stderr_eq("taylor asks the network about 3 images, which may take minutes\n");
}

#[test]
fn strategies_ask_about_images_that_the_ticket_takes() {
    let folder = Folder::new();
    let mut model = ticket(Size::Small);
    let input = ImageShape { channels: 1, height: 4, width: 16 };
    model.description.architecture = Some(Architecture::Mlp { input, hidden: vec![300, 100], classes: 10 });
    folder.write_model("ticket.safetensors", &model);
    for strategy in ["taylor", "hessian", "integrated-gradients"] {
        folder.refuses(
            &format!("lock ticket.safetensors --strategy {strategy} --data digits -o l --key-mask k --unencrypted"),
            str![[r#"
error: ticket.safetensors: takes 1x4x16 images in 10 classes, but digits has 1x8x8 images in 10 classes

"#]],
        );
    }
}
