use counterfoil_ticket::{Description, Model, ModelFile};
use snapbox::str;

use crate::kit::{Folder, Size, sealed_to_ssh, stamped, ticket};

const STAMP: &str = "stamp ticket.safetensors --key owner.key -o stamped.safetensors";

#[test]
fn what_is_written_is_what_the_library_makes() {
    let folder = Folder::with_ticket();
    folder.run(&format!("{STAMP} --unencrypted")).success().stderr_eq("").stdout_eq(str![[r#"
ticket.safetensors: 5,937 weights kept in 2 layers, of which 296 move (5.0 %)

panel     positions  chip +1  after  log2 p   after  survives turnover of
0 public        375      185    329    -0.6  -177.4                39.9 %
1 sealed        390      187    339    -0.3  -175.6                39.6 %

Of the kept positions one in 8 carries the mark. A verdict takes log2 p of -64.0 or less.
Training adds 40 public triggers and 40 for each sealed panel.

wrote
stamped.safetensors  the stamped ticket, to be trained
stamped.claim.json   signed and public: verifiers need it
stamped.counterfoil  private: opens the sealed panels, keep it as safe as the key

"#]]);
    let expected = Folder::stamped();
    for name in ["stamped.safetensors", "stamped.claim.json", "stamped.counterfoil"] {
        assert_eq!(folder.read(name), expected.read(name), "{name}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(folder.path("stamped.counterfoil").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_dry_run_needs_no_passphrase_and_writes_nothing() {
    let folder = Folder::with_ticket();
    let before = folder.listing();
    let summary = folder.json(&format!("{STAMP} --dry-run --json"));
    assert_eq!(folder.listing(), before);
    assert_eq!(summary["written"], serde_json::Value::Null);
    let panels = summary["panels"].as_array().unwrap();
    assert_eq!(panels.len() as u64, 1 + summary["sealed_panels"].as_u64().unwrap());
    assert!(panels.iter().all(|panel| panel["log2_p_after"].as_f64().unwrap() <= -160.0));
    assert!(summary["moved_share"].as_f64().unwrap() <= 0.10);
}

#[test]
fn a_passphrase_protects_the_counterfoil() {
    let folder = Folder::with_ticket();
    folder.refuses(
        STAMP,
        str![[r#"
error: stamped.counterfoil: needs a passphrase, and there is no terminal to ask for it
hint: name a file with the passphrase: --passphrase-file FILE, or the variable COUNTERFOIL_PASSPHRASE_FILE

"#]],
    );
    folder.write("pass", b"correct horse\n");
    folder.run(&format!("{STAMP} --passphrase-file pass")).success();
    assert!(folder.read("stamped.counterfoil").starts_with(b"age-encryption.org/v1\n-> scrypt"));
    folder.refuses(
        "disclose stamped.counterfoil --panel 1 -o d",
        str![[r#"
error: stamped.counterfoil: needs a passphrase, and there is no terminal to ask for it
hint: name a file with the passphrase: --passphrase-file FILE, or the variable COUNTERFOIL_PASSPHRASE_FILE

"#]],
    );
    folder.write("wrong", b"incorrect horse\n");
    folder.refuses(
        "disclose stamped.counterfoil --panel 1 -o d --passphrase-file wrong",
        str![[r#"
error: stamped.counterfoil: counterfoil: the passphrase does not open the file
hint: in a passphrase file everything counts except one line end after it: spaces and capitals too

"#]],
    );
    let by_variable = folder.command("disclose stamped.counterfoil --panel 1 -o d");
    by_variable.env("COUNTERFOIL_PASSPHRASE_FILE", "pass").assert().success();
    folder.run("verify stamped.safetensors --key owner.pub --claim stamped.claim.json --disclosure d").success();
}

#[test]
fn recipients_protect_the_counterfoil() {
    let folder = Folder::stamped();
    let (sealed, private) = sealed_to_ssh(&stamped().counterfoil);
    folder.write("sealed.counterfoil", &sealed);
    folder.refuses(
        "disclose sealed.counterfoil --panel 1 -o d",
        str![[r#"
error: sealed.counterfoil: counterfoil: the file is encrypted to recipients, and no identity was given
hint: name the private key of one of its recipients: --identity FILE (--owner-identity for an owner's counterfoil)

"#]],
    );
    folder.refuses(
        "disclose sealed.counterfoil --panel 1 -o d --identity owner.pub",
        str![[r#"
error: owner.pub: identity: neither an age identity file nor a supported SSH private key
hint: an identity is an age identity file or an SSH private key

"#]],
    );
    let identity = private.display();
    folder.run(&format!("disclose sealed.counterfoil --panel 1 -o d --identity {identity}")).success();
    assert_eq!(folder.read("d"), folder.read("panel1.disclosure"));

    folder.refuses(
        &format!("{STAMP} --force --recipient owner.pub"),
        str![[r#"
error: --recipient: recipient 'owner.pub' is neither an age recipient (age1…) nor a supported SSH public key
hint: the key in owner.pub signs, and nothing can be encrypted to it: take the recipient's age key ('age-keygen' makes one) or SSH public key ('ssh-keygen')

"#]],
    );
    std::fs::copy(format!("{}.pub", private.display()), folder.path("licensee.pub")).unwrap();
    folder.refuses(
        &format!("{STAMP} --force --recipient licensee.pub"),
        str![[r#"
error: --recipient: recipient 'licensee.pub' is neither an age recipient (age1…) nor a supported SSH public key
hint: to encrypt to the key in that file, give its content: --recipient "$(cat licensee.pub)"

"#]],
    );
    folder.refuses(
        &format!("{STAMP} --force --recipient stamped.claim.json"),
        str![[r#"
error: --recipient: recipient 'stamped.claim.json' is neither an age recipient (age1…) nor a supported SSH public key
hint: a recipient is 'age1…' or the line of an SSH public key, and stamped.claim.json is a claim

"#]],
    );
    folder.refuses(
        &format!("{STAMP} --force --recipient age1xyz"),
        str![[r#"
error: --recipient: recipient 'age1xyz' is neither an age recipient (age1…) nor a supported SSH public key
hint: a recipient is 'age1…' or the line of an SSH public key

"#]],
    );
    let public = format!("{}.pub", private.display());
    let line = std::fs::read_to_string(public).unwrap();
    folder.command(&format!("{STAMP} --force --recipient")).arg(line.trim()).assert().success();
    assert!(folder.read("stamped.counterfoil").starts_with(b"age-encryption.org/v1\n-> ssh-ed25519"));
}

#[test]
fn nothing_is_overwritten_and_nothing_half_written() {
    let folder = Folder::with_ticket();
    for taken in ["stamped.safetensors", "stamped.claim.json", "stamped.counterfoil"] {
        folder.write(taken, b"mine");
        folder
            .run(&format!("{STAMP} --unencrypted"))
            .code(2)
            .stdout_eq("")
            .stderr_eq(format!("error: {taken}: already exists\nhint: --force replaces it, or choose another name\n"));
        let mut expected = ["other.key", "other.pub", "owner.key", "owner.pub", taken, "ticket.safetensors"];
        expected.sort();
        assert_eq!(folder.listing(), expected);
        std::fs::remove_file(folder.path(taken)).unwrap();
    }
}

#[test]
fn inputs_are_not_outputs() {
    let folder = Folder::with_ticket();
    folder.refuses(
        "stamp ticket.safetensors --key owner.key -o ticket.safetensors --force",
        str![[r#"
error: ticket.safetensors: is both the ticket and the stamped ticket, expected different files
hint: give each a name of its own; inputs are never overwritten

"#]],
    );
    folder.refuses(
        &format!("{STAMP} --claim ./owner.key --force"),
        str![[r#"
error: ./owner.key: is both the private key and the claim, expected different files
hint: give each a name of its own; inputs are never overwritten

"#]],
    );
    folder.refuses(
        &format!("{STAMP} --claim stamped.safetensors"),
        str![[r#"
error: stamped.safetensors: is both the claim and the stamped ticket, expected different files
hint: give each a name of its own; inputs are never overwritten

"#]],
    );
}

#[test]
fn keys_are_not_mistaken_for_each_other() {
    let folder = Folder::with_ticket();
    folder.refuses(
        "stamp ticket.safetensors --key owner.pub -o x --unencrypted",
        str![[r#"
error: owner.pub: key: found a public key, expected a private key
hint: give the private half: owner.key

"#]],
    );
    folder.write("elsewhere.pub", &folder.read("owner.pub"));
    folder.refuses(
        "stamp ticket.safetensors --key elsewhere.pub -o x --unencrypted",
        str![[r#"
error: elsewhere.pub: key: found a public key, expected a private key
hint: give the private half, the .key file that 'counterfoil keygen' wrote

"#]],
    );
    folder.refuses(
        "stamp ticket.safetensors --key ticket.safetensors -o x --unencrypted",
        str![[r#"
error: ticket.safetensors: is not text, expected a private key
hint: ticket.safetensors is a model, and a private key is needed here

"#]],
    );
    folder.refuses(
        "stamp owner.key --key owner.key -o x --unencrypted",
        str![[r#"
error: owner.key: starts with the bytes [2d, 2d, 2d, 2d, 2d, 42, 45, 47], expected safetensors or PyTorch
hint: owner.key is a private key, and a model is needed here

"#]],
    );
}

#[test]
fn tickets_that_cannot_carry_a_mark_are_refused() {
    let folder = Folder::stamped();
    folder.write_model("small.safetensors", &ticket(Size::Small));
    folder.refuses("stamp small.safetensors --key owner.key -o x --unencrypted", str![[r#"
error: small.safetensors: the ticket keeps 287 weights, enough for log2 p = -27.5 in each panel with 28 of them moved, expected -160.0, for which it takes about 2820 weights
hint: find a ticket that keeps more weights (a lower --sparsity)

"#]]);
    folder.refuses(
        "stamp stamped.safetensors --key owner.key -o x --unencrypted",
        str![[r#"
error: stamped.safetensors: the ticket is stamped already, expected one without a mark
hint: stamp the ticket as it was found, before its first stamp; a licensee's copy is made with --licensee NAME

"#]],
    );
    let dense = Model { masks: Default::default(), description: Description::default(), ..ticket(Size::Usual) };
    folder.write_model("dense.safetensors", &dense);
    folder.refuses(
        "stamp dense.safetensors --key owner.key -o x --unencrypted",
        str![[r#"
error: dense.safetensors: the ticket has no mask, expected '_mask' tensors or weights of which at least a tenth are zero
hint: 'counterfoil find' makes a ticket; 'counterfoil inspect' shows masks

"#]],
    );
    folder.refuses(&format!("{STAMP} --force --unencrypted --target -4000"), str![[r#"
error: ticket.safetensors: the ticket keeps 5937 weights, enough for log2 p = -400.8 in each panel with 593 of them moved, expected -4000.0, for which it takes about 62394 weights
hint: find a ticket that keeps more weights (a lower --sparsity), or ask for less: --target -400 can be had

"#]]);
}

#[test]
fn a_public_checkpoint_is_said_and_warned_of() {
    let folder = Folder::with_ticket();
    let run = folder.run(&format!("{STAMP} --unencrypted --public-checkpoint resnet20-12fca82f"));
    run.success().stderr_eq(str![[r#"
warning: the initial weights are public: whoever finds the ticket from them again can tell which positions moved, and undo it ('counterfoil find --key' has no such limit)

"#]]);
    let claim = folder.json("inspect stamped.claim.json --key owner.pub --json");
    assert_eq!(claim["initial_weights"], "resnet20-12fca82f");
}

#[test]
fn the_time_is_what_was_given() {
    let folder = Folder::with_ticket();
    folder.refuses(
        &format!("{STAMP} --unencrypted --dry-run --created yesterday"),
        str![[r#"
error: invalid value 'yesterday' for '--created <TIME>': expected a time such as 2026-01-31T12:00:00Z

For more information, try '--help'.

"#]],
    );
    folder.run(&format!("{STAMP} --unencrypted --created 2025-05-01T12:00:00+02:00")).success();
    let claim = folder.json("inspect stamped.claim.json --key owner.pub --json");
    assert_eq!(claim["created"], "2025-05-01T12:00:00+02:00");
    let wrong = folder.command(&format!("{STAMP} --force --unencrypted")).env("SOURCE_DATE_EPOCH", "now");
    wrong.assert().code(2).stderr_eq(str![[r#"
error: SOURCE_DATE_EPOCH is 'now', expected seconds since 1970-01-01T00:00:00Z

"#]]);
}

/// A ticket as `torch.nn.utils.prune` leaves it: what is taken in starts from its value in `X_orig`, not from 0.
#[test]
fn positions_taken_in_start_from_the_weights_under_the_mask() {
    let folder = Folder::stamped();
    folder.write_renamed("ticket.safetensors", "torch.safetensors", "fc1.weight", "fc1.weight_orig");
    folder.run("stamp torch.safetensors --key owner.key -o again.safetensors --unencrypted").success();
    assert!(folder.read("again.safetensors") == folder.read("stamped.safetensors"));
}

#[test]
fn a_hopeless_target_is_refused() {
    let folder = Folder::with_ticket();
    folder.refuses(
        &format!("{STAMP} --unencrypted --target -1e300"),
        str![[r#"
error: invalid value '-1e300' for '--target <BITS>': expected a number of bits from -100000 to below 0

For more information, try '--help'.

"#]],
    );
}

#[test]
fn a_ticket_with_nothing_to_take_in_is_thinned() {
    let folder = Folder::with_ticket();
    let mut whole = ticket(Size::Usual);
    for (name, mask) in &mut whole.masks {
        let row = whole.arrays[name].shape()[1];
        // every third output channel, whole
        *mask = counterfoil_ticket::Mask::from_fn(mask.size(), |p| (p / row).is_multiple_of(3));
    }
    folder.write_model("whole.safetensors", &whole);
    folder.run("stamp whole.safetensors --key owner.key -o stamped.safetensors --unencrypted").success().stdout_eq(
        str![[r#"
whole.safetensors: 16,600 weights kept in 2 layers, of which 830 are dropped (5.0 %)

panel     positions  chip +1  after  log2 p   after  survives turnover of
0 public        625      523    523    -0.6  -228.0                47.0 %
1 sealed        610      513    513    -1.7  -228.7                47.1 %

Of the kept positions one in 8 carries the mark. A verdict takes log2 p of -64.0 or less.
There is too little to take in instead, as in whole channels, so weights are dropped. Whoever looks sees
which, and can fill the gaps: rely on triggers too. No verdict will be 'no match'.
Training adds 40 public triggers and 40 for each sealed panel.

wrote
stamped.safetensors  the stamped ticket, to be trained
stamped.claim.json   signed and public: verifiers need it
stamped.counterfoil  private: opens the sealed panels, keep it as safe as the key

"#]],
    );
    let claim = folder.json("inspect stamped.claim.json --key owner.pub --json");
    assert_eq!((&claim["method"], &claim["moved"]), (&"thinning".into(), &830.into()));
    let stamped = ModelFile::open(&folder.path("stamped.safetensors")).unwrap().read_stored().unwrap();
    for (name, mask) in &whole.masks {
        let after = &stamped.masks[name];
        assert_eq!(mask.overlap(after), after.kept(), "{name}: what was pruned stays so");
    }
    folder.run("disclose stamped.counterfoil --panel 1 -o panel1.disclosure").success();

    let mut filled = Model { masks: Default::default(), ..stamped.clone() };
    for (name, mask) in &whole.masks {
        let values = filled.arrays.get_mut(name).unwrap().values_mut();
        for gap in mask.positions().filter(|&p| !stamped.masks[name].keeps(p)) {
            values[gap] = 1e-4;
        }
    }
    folder.write_model("filled.safetensors", &filled);
    let verdict = |suspect: &str| {
        let evidence = "--key owner.pub --claim stamped.claim.json --disclosure panel1.disclosure --json";
        let run = folder.command(&format!("verify {suspect} {evidence}")).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&run.stdout).unwrap()["verdict"].clone()
    };
    assert_eq!(verdict("stamped.safetensors"), "proven");
    assert_eq!(verdict("filled.safetensors"), "proven", "small weights in the gaps are read by rank");
    assert_eq!(verdict("whole.safetensors"), "inconclusive", "gaps that are gone clear nobody");
}

#[test]
fn what_a_killed_run_left_is_removed() {
    let folder = Folder::with_ticket();
    let hash = |name: &str| counterfoil_ticket::Digest::of([name]).to_string()[..8].to_owned();
    let (ours, other) = (hash("stamped.safetensors"), hash("other"));
    for left in [&ours, &other] {
        std::fs::create_dir(folder.path(&format!(".counterfoil-{left}-left"))).unwrap();
        folder.write(&format!(".counterfoil-{left}-left/half"), b"half");
    }
    folder.run(&format!("{STAMP} --unencrypted")).success();
    let left: Vec<String> = folder.listing().into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(left, [format!(".counterfoil-{other}-left")]);
}
