use snapbox::str;

use crate::kit::Folder;

#[test]
fn a_panel_is_disclosed_to_its_owner_alone_at_first() {
    let folder = Folder::stamped();
    folder.run("disclose stamped.counterfoil --panel 1 -o d").success().stderr_eq("").stdout_eq(str![[r#"
d  opens panel 1 of 1 sealed ones, for the claim abd6e8d649b25fea7d29d7a8a54bad5f057bb0f1e772ff1abc9f22b865d52d58

"#]]);
    assert_eq!(folder.read("d"), folder.read("panel1.disclosure"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(folder.path("d").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn panels_that_are_not_there_are_refused() {
    let folder = Folder::stamped();
    folder.refuses(
        "disclose stamped.counterfoil --panel 4 -o d",
        str![[r#"
error: stamped.counterfoil: counterfoil: no sealed panel 4, expected 1 to 1

"#]],
    );
    folder.refuses(
        "disclose stamped.counterfoil --panel 0 -o d",
        str![[r#"
error: invalid value '0' for '--panel <N>': expected a sealed panel, 1 to 4 (panel 0 is public as it is)

For more information, try '--help'.

"#]],
    );
}

#[test]
fn outputs_are_checked_first() {
    let folder = Folder::stamped();
    folder.refuses(
        "disclose stamped.counterfoil --panel 1 -o panel1.disclosure",
        str![[r#"
error: panel1.disclosure: already exists
hint: --force replaces it, or choose another name

"#]],
    );
    folder.refuses(
        "disclose stamped.counterfoil --panel 1 -o stamped.counterfoil --force",
        str![[r#"
error: stamped.counterfoil: is both the counterfoil and the disclosure, expected different files
hint: give each a name of its own; inputs are never overwritten

"#]],
    );
}

#[test]
fn an_identity_does_not_open_what_has_a_passphrase() {
    let folder = Folder::with_ticket();
    folder.write("passphrase", b"secret");
    folder.run("stamp ticket.safetensors --key owner.key -o x.safetensors --passphrase-file passphrase").code(0);
    folder.refuses(
        "disclose x.counterfoil --panel 1 -o d -i owner.key --passphrase-file passphrase",
        str![[r#"
error: x.counterfoil: is encrypted with a passphrase, which the identity owner.key does not open
hint: it has a passphrase: leave the identity out, and name a file with the passphrase

"#]],
    );
}

#[test]
fn other_files_are_told_by_name() {
    let folder = Folder::stamped();
    folder.refuses(
        "disclose stamped.claim.json --panel 1 -o d",
        str![[r#"
error: stamped.claim.json: counterfoil: the JSON is malformed: missing field `version` at line 1 column 1688
hint: stamped.claim.json is a claim, and a counterfoil is needed here

"#]],
    );
    folder.refuses(
        "disclose stamped.safetensors --panel 1 -o d",
        str![[r#"
error: stamped.safetensors: counterfoil: the JSON is malformed: expected value at line 1 column 1
hint: stamped.safetensors is a model, and a counterfoil is needed here

"#]],
    );
    folder.write("newer.counterfoil", b"{\"version\":2,\"publicKey\":\"\"}");
    folder.refuses(
        "disclose newer.counterfoil --panel 1 -o d",
        str![[r#"
error: newer.counterfoil: counterfoil: version 2, expected version 1
hint: another counterfoil version made it: update to read it

"#]],
    );
    let mut cut = folder.read("stamped.counterfoil");
    cut.truncate(cut.len() / 2);
    folder.write("cut.counterfoil", &cut);
    folder.refuses(
        "disclose cut.counterfoil --panel 1 -o d",
        str![[r#"
error: cut.counterfoil: counterfoil: the JSON is malformed: EOF while parsing a string at line 1 column 4389
hint: the file is of the right kind, but cut off, damaged or edited: get a fresh copy

"#]],
    );
}

#[cfg(unix)]
#[test]
fn folders_devices_and_pipes_are_not_read() {
    let folder = Folder::stamped();
    std::fs::create_dir(folder.path("folder")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
    folder.refuses(
        "disclose /dev/zero --panel 1 -o d",
        str![[r#"
error: /dev/zero: is not a regular file, expected a counterfoil
hint: save it as a file first

"#]],
    );
    folder.refuses(
        "disclose folder --panel 1 -o d",
        str![[r#"
error: folder: is not a regular file, expected a counterfoil
hint: it is a folder: name a file in it

"#]],
    );
    for (arguments, file, expected) in [
        ("verify stamped.safetensors --key pipe", "pipe", "a public key"),
        ("verify stamped.safetensors --key owner.pub --claim pipe", "pipe", "a claim"),
        ("stamp ticket.safetensors --key pipe -o x --unencrypted", "pipe", "a private key"),
        ("verify pipe --key owner.pub", "pipe", "safetensors or PyTorch"),
        ("inspect pipe", "pipe", "safetensors or PyTorch"),
        ("inspect /dev/zero", "/dev/zero", "safetensors or PyTorch"),
    ] {
        let text = "is not a regular file, expected";
        let stderr = format!("error: {file}: {text} {expected}\nhint: save it as a file first\n");
        folder.refuses(arguments, stderr);
    }
}
