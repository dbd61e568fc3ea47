//! Keys as `openssl` sees them. Where it is not installed, the tests say so and pass.

use std::process::{Command, Output};

use crate::kit::Folder;

fn openssl(folder: &Folder, arguments: &str) -> Option<Output> {
    let arguments = arguments.split_whitespace();
    match Command::new("openssl").args(arguments).current_dir(folder.path("")).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: `openssl` is not installed, so interoperation with it was not tested");
            None
        }
        Err(error) => panic!("openssl: {error}"),
    }
}

#[test]
fn openssl_finds_our_public_key_in_our_private_one() {
    let folder = Folder::new();
    folder.write("pass", b"correct horse");
    folder.run("keygen new").success();
    folder.run("keygen locked --passphrase-file pass").success();
    for (private, public) in [("new.key", "new.pub"), ("locked.key -passin file:pass", "locked.pub")] {
        let Some(output) = openssl(&folder, &format!("pkey -in {private} -pubout")) else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, folder.read(public), "{private}");
    }
}

#[test]
fn the_key_id_is_the_digest_that_openssl_computes() {
    let folder = Folder::new();
    let key_id = folder.json("inspect owner.pub --json")["key_id"].as_str().unwrap().to_owned();
    if openssl(&folder, "pkey -pubin -in owner.pub -outform DER -out owner.der").is_none() {
        return;
    }
    let digest = openssl(&folder, "dgst -sha256 -r owner.der").unwrap();
    assert!(digest.stdout.starts_with(key_id.as_bytes()));
}

#[test]
fn a_key_that_openssl_made_stamps() {
    let folder = Folder::with_ticket();
    if openssl(&folder, "genpkey -algorithm ed25519 -out theirs.key").is_none() {
        return;
    }
    openssl(&folder, "pkey -in theirs.key -pubout -out theirs.pub");
    folder.run("stamp ticket.safetensors --key theirs.key -o theirs.safetensors --unencrypted").success();
    folder.run("verify theirs.safetensors --key theirs.pub --tests mask").code(0);
    folder.run("verify theirs.safetensors --key owner.pub --tests mask").code(1);
}
