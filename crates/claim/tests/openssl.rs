//! Keys and signatures against the `openssl` command, 3.0 or later. Where it is not installed, the tests say so and pass.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::path::Path;
use std::process::{Command, Output};

use counterfoil_claim::{KeyError, OwnerKey, Passphrase, PublicKey, pae};
use tempfile::TempDir;

const VECTORS: &str = include_str!("../../../fixtures/protocol/claim-vectors.json");

/// Runs `openssl` in the folder, or returns `None` if there is none.
fn openssl(folder: &Path, args: &[&str]) -> Option<Output> {
    match Command::new("openssl").args(args).current_dir(folder).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: `openssl` is not installed, so interoperation with it was not tested");
            None
        }
        Err(error) => panic!("openssl {args:?}: {error}"),
    }
}

/// Its standard output; panics with its complaint if it fails.
fn output(folder: &Path, args: &[&str]) -> Option<String> {
    let output = openssl(folder, args)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {args:?}: {complaint}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse battery staple".into())
}

const PASS_IN: &str = "pass:correct horse battery staple";

#[test]
fn openssl_reads_our_keys() {
    let folder = folder();
    let key = OwnerKey::generate();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("owner.key"), &*key.to_pem(None)).unwrap();
    std::fs::write(at("locked.key"), &*key.to_pem(Some(&passphrase()))).unwrap();
    std::fs::write(at("owner.pub"), key.public().to_pem()).unwrap();

    let Some(public) = output(folder.path(), &["pkey", "-in", "owner.key", "-pubout"]) else { return };
    assert_eq!(public, key.public().to_pem());
    let again = output(folder.path(), &["pkey", "-in", "owner.key"]).unwrap();
    assert_eq!(again, *key.to_pem(None), "byte for byte what openssl writes");
    let unlocked = output(folder.path(), &["pkey", "-in", "locked.key", "-passin", PASS_IN]).unwrap();
    assert_eq!(unlocked, *key.to_pem(None));
    let wrong = openssl(folder.path(), &["pkey", "-in", "locked.key", "-passin", "pass:wrong"]).unwrap();
    assert!(!wrong.status.success());
    let public = output(folder.path(), &["pkey", "-pubin", "-in", "owner.pub"]).unwrap();
    assert_eq!(public, key.public().to_pem());
}

#[test]
fn we_read_openssl_s_keys() {
    let folder = folder();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    if output(folder.path(), &["genpkey", "-algorithm", "ed25519", "-out", "owner.key"]).is_none() {
        return;
    }
    output(folder.path(), &["pkey", "-in", "owner.key", "-pubout", "-out", "owner.pub"]);
    let key = OwnerKey::from_pem(&read("owner.key"), None).unwrap();
    assert_eq!(PublicKey::from_pem(&read("owner.pub")).unwrap(), key.public());

    let ciphers: [&[&str]; 3] =
        [&["-v2", "aes-256-cbc"], &["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"], &["-scrypt"]];
    for cipher in ciphers {
        let to_locked = ["pkcs8", "-topk8", "-in", "owner.key", "-out", "locked.key", "-passout", PASS_IN];
        output(folder.path(), &[&to_locked[..], cipher].concat());
        let locked = read("locked.key");
        assert_eq!(OwnerKey::from_pem(&locked, Some(&passphrase())).unwrap().public(), key.public(), "{cipher:?}");
        let wrong = OwnerKey::from_pem(&locked, Some(&Passphrase::new("wrong".into())));
        assert!(matches!(wrong.map(|_| ()), Err(KeyError::WrongPassphrase)), "{cipher:?}");
    }

    output(folder.path(), &["genpkey", "-algorithm", "x25519", "-out", "other.key"]);
    let other = OwnerKey::from_pem(&read("other.key"), None).map(|_| ());
    assert!(matches!(other, Err(KeyError::OtherAlgorithm { found }) if found == "1.3.101.110"));
}

#[test]
fn openssl_checks_a_claim_s_signature() {
    let folder = folder();
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let text = |name: &str| vectors[name].as_str().unwrap();
    std::fs::write(folder.path().join("owner.pub"), text("publicPem")).unwrap();
    std::fs::write(folder.path().join("sig"), hex::decode(text("signature")).unwrap()).unwrap();
    let verify = ["pkeyutl", "-verify", "-pubin", "-inkey", "owner.pub", "-rawin", "-in", "pae", "-sigfile", "sig"];

    let mut signed = pae(text("envelope").as_bytes()).unwrap();
    std::fs::write(folder.path().join("pae"), &signed).unwrap();
    let Some(verdict) = output(folder.path(), &verify) else { return };
    assert!(verdict.contains("Signature Verified Successfully"), "{verdict}");

    *signed.last_mut().unwrap() ^= 1;
    std::fs::write(folder.path().join("pae"), &signed).unwrap();
    assert!(!openssl(folder.path(), &verify).unwrap().status.success());
}

#[test]
fn the_key_id_is_the_sha_256_of_openssl_s_der() {
    let folder = folder();
    let key = OwnerKey::generate().public();
    std::fs::write(folder.path().join("owner.pub"), key.to_pem()).unwrap();
    let to_der = ["pkey", "-pubin", "-in", "owner.pub", "-outform", "DER", "-out", "owner.der"];
    if output(folder.path(), &to_der).is_none() {
        return;
    }
    let digest = output(folder.path(), &["dgst", "-sha256", "-r", "owner.der"]).unwrap();
    assert!(digest.starts_with(&key.key_id()), "{digest}");
}
