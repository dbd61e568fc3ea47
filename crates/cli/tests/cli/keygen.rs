use snapbox::str;

use crate::kit::Folder;

#[test]
fn a_pair_is_made_and_the_private_half_is_for_its_owner_alone() {
    let folder = Folder::new();
    folder.run("keygen new").success().stderr_eq("").stdout_eq(str![[r#"
new.key  private, not encrypted: whoever reads it can sign as you
new.pub  public, give it to verifiers
key [..]

"#]]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(folder.path("new.key").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn neither_half_is_overwritten_and_neither_is_left_alone() {
    let folder = Folder::new();
    folder.refuses(
        "keygen owner",
        str![[r#"
error: owner.key: already exists
hint: --force replaces it, or choose another name

"#]],
    );
    folder.write("half.pub", b"mine");
    folder.refuses(
        "keygen half",
        str![[r#"
error: half.pub: already exists
hint: --force replaces it, or choose another name

"#]],
    );
    assert_eq!(folder.read("half.pub"), b"mine");
    folder.run("keygen half --force").success();
    assert_ne!(folder.read("half.pub"), b"mine");
}

#[test]
fn the_extension_may_be_typed_too() {
    let folder = Folder::new();
    folder.run("keygen new.key").success();
    assert!(folder.listing().contains(&"new.key".to_owned()) && folder.listing().contains(&"new.pub".to_owned()));
}

#[test]
fn folders_are_not_made() {
    Folder::new().refuses(
        "keygen keys/new",
        str![[r#"
error: keys/new.key: the folder keys does not exist
hint: make it: mkdir -p keys

"#]],
    );
}

#[test]
fn a_passphrase_comes_from_a_file_and_opens_the_key_again() {
    let folder = Folder::with_ticket();
    folder.write("pass", b"correct horse\n");
    folder.run("keygen new --passphrase-file pass").success().stdout_eq(str![[r#"
new.key  private, encrypted
new.pub  public, give it to verifiers
key [..]

"#]]);
    assert!(folder.read("new.key").starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    folder.run("stamp ticket.safetensors --key new.key --key-passphrase-file pass -o x --dry-run").success();
    folder.write("wrong", b"correct  horse");
    folder.refuses(
        "stamp ticket.safetensors --key new.key --key-passphrase-file wrong -o x --dry-run",
        str![[r#"
error: new.key: key: the passphrase does not open the private key
hint: in a passphrase file everything counts except one line end after it: spaces and capitals too

"#]],
    );
    folder.refuses(
        "stamp ticket.safetensors --key new.key -o x --dry-run",
        str![[r#"
error: new.key: needs a passphrase, and there is no terminal to ask for it
hint: name a file with the passphrase: --key-passphrase-file FILE, or the variable COUNTERFOIL_KEY_PASSPHRASE_FILE

"#]],
    );
    let by_variable = folder.command("stamp ticket.safetensors --key new.key -o x --dry-run");
    by_variable.env("COUNTERFOIL_KEY_PASSPHRASE_FILE", "pass").assert().success();
}

#[test]
fn a_passphrase_has_to_come_from_somewhere() {
    let folder = Folder::new();
    folder.refuses(
        "keygen new --passphrase",
        str![[r#"
error: new.key: needs a passphrase, and there is no terminal to ask for it
hint: name a file with the passphrase: --key-passphrase-file FILE, or the variable COUNTERFOIL_KEY_PASSPHRASE_FILE

"#]],
    );
    folder.write("empty", b"\n");
    folder.refuses(
        "keygen new --passphrase-file empty",
        str![[r#"
error: empty: the passphrase is empty
hint: without a passphrase: --unencrypted, or a key without --passphrase

"#]],
    );
    folder.refuses(
        "keygen new --passphrase-file nowhere",
        str![[r#"
error: nowhere: cannot be read: No such file or directory (os error 2)

"#]],
    );
}
