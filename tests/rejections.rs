//! Everything untrusted, malformed: exit code 2, a sentence that names the file, nothing printed or written.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use counterfoil_acceptance::{Folder, repository, safetensors, safetensors_of};
use serde_json::Value;

/// A file in fixtures/claims: its head, and what comes after the empty line.
fn vector(name: &str) -> (BTreeMap<String, String>, Vec<u8>) {
    let file = fs::read(repository().join("fixtures/claims").join(name)).unwrap();
    let end = file.windows(2).position(|w| w == b"\n\n").unwrap();
    let head = std::str::from_utf8(&file[..end]).unwrap().lines();
    let pair = |line: &str| line.split_once(": ").map(|(key, value)| (key.to_owned(), value.to_owned())).unwrap();
    (head.map(pair).collect(), file[end + 2..].to_vec())
}

/// The file that `openssl` would have of these 32 bytes (RFC 8410).
fn public_pem(key: &[u8]) -> String {
    const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode([&SPKI[..], key].concat()))
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// A folder with the owner of fixtures/claims, their claim, and a model with one of the claimed carriers.
fn with_claim() -> Folder {
    let folder = Folder::new();
    let vectors = fs::read(repository().join("fixtures/protocol/claim-vectors.json")).unwrap();
    let vectors: Value = serde_json::from_slice(&vectors).unwrap();
    folder.write("owner.pub", vectors["publicPem"].as_str().unwrap());
    folder.write("owner.key", vectors["privatePem"].as_str().unwrap());
    folder.write("claim_valid", vector("claim_valid").1);
    folder.write(
        "model.bin",
        safetensors_of([("fc.weight".to_owned(), &[5, 7][..], &[0.0, 1.0, 0.0, 2.0, 0.0, 3.0, 4.0].repeat(5)[..])]),
    );
    folder
}

#[test]
fn claims_and_disclosures_of_the_fixtures() {
    let folder = with_claim();
    let (mut accepted, mut refused) = (0, 0);
    let mut names: Vec<_> =
        fs::read_dir(repository().join("fixtures/claims")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let name = name.to_str().unwrap();
        let (head, content) = vector(name);
        folder.write(name, content);
        let key = match head.get("key") {
            Some(key) => {
                folder.write("its.pub", public_pem(&unhex(key)));
                "its.pub"
            }
            None => "owner.pub",
        };
        let file = if head["expect"] == "weak key" { key } else { name };
        let claim =
            if name.starts_with("disclosure_") { format!("claim_valid --disclosure {name}") } else { name.to_owned() };
        let arguments = format!("verify model.bin --key {key} --tests mask --claim {claim}");
        if head["expect"] == "success" {
            let (code, _, stderr) = folder.run(&arguments);
            assert!(code != 2, "{name}: {stderr}");
            accepted += 1;
        } else {
            folder.refuses(&arguments, file, head.get("detail").map_or("", String::as_str));
            refused += 1;
        }
    }
    assert!(accepted >= 6 && refused >= 90, "{accepted} {refused}");
}

#[test]
fn oversized_claims_disclosures_and_keys() {
    let folder = with_claim();
    folder.write("large.claim", vec![b' '; (16 << 20) + 1]);
    folder.refuses("verify model.bin --key owner.pub --claim large.claim", "large.claim", "more than 16777216 bytes");
    folder.write("large.disclosure", vec![b' '; (64 << 10) + 1]);
    folder.refuses(
        "verify model.bin --key owner.pub --claim claim_valid --disclosure large.disclosure",
        "large.disclosure",
        "more than 65536 bytes",
    );
    folder.write("large.pub", vec![b'-'; 1 << 20]);
    folder.refuses("verify model.bin --key large.pub", "large.pub", "expected a public key");
    let deep = [b"{\"payloadType\":".to_vec(), vec![b'['; 1 << 20]].concat();
    folder.write("deep.claim", deep);
    folder.refuses("verify model.bin --key owner.pub --claim deep.claim", "deep.claim", "malformed");
}

#[test]
fn keys() {
    let folder = with_claim();
    let public = String::from_utf8(folder.read("owner.pub")).unwrap();
    let rsa = [0x30, 0x1a, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let rsa = STANDARD.encode([&rsa[..], &[0x03, 0x09, 0x00, 0x30, 0x06, 0x02, 0x01, 0x03, 0x02, 0x01, 0x03]].concat());
    let cases: [(&str, String, &str); 8] = [
        ("empty", String::new(), "no PEM block found"),
        ("cut", public[..public.len() / 2].to_owned(), "key: "),
        ("byte_short", public_pem(&[9; 31]), "malformed"),
        ("other_label", public.replace("PUBLIC KEY", "CERTIFICATE"), "found a PEM block CERTIFICATE"),
        (
            "other_algorithm",
            format!("-----BEGIN PUBLIC KEY-----\n{rsa}\n-----END PUBLIC KEY-----\n"),
            "found algorithm 1.2.840.113549.1.1.1",
        ),
        ("small_order", public_pem(&[0; 32]), "small order"),
        ("not_canonical", public_pem(&[0xff; 32]), "no canonical Ed25519 point"),
        ("private", String::from_utf8(folder.read("owner.key")).unwrap(), "found a private key, expected a public key"),
    ];
    for (name, content, reason) in cases {
        folder.write(name, content);
        folder.refuses(&format!("verify model.bin --key {name}"), name, reason);
        if name != "private" {
            folder.refuses(&format!("stamp model.bin --key {name} -o x --unencrypted"), name, "key: ");
        }
    }
    folder.refuses(
        "stamp model.bin --key owner.pub -o x --unencrypted",
        "owner.pub",
        "found a public key, expected a private key",
    );
    folder.write("binary.pub", [0xff, 0xfe, 0]);
    folder.refuses("verify model.bin --key binary.pub", "binary.pub", "is not text");
}

/// Header and data of one F32 tensor of four values.
const SOUND: (&str, [u8; 16]) = (r#"{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#, [0; 16]);

/// The sound header with one thing changed.
fn with(from: &str, to: &str) -> Vec<u8> {
    assert!(SOUND.0.contains(from), "{from}");
    safetensors(&SOUND.0.replacen(from, to, 1), &SOUND.1)
}

fn described(description: &str) -> Vec<u8> {
    let text = serde_json::to_string(description).unwrap();
    with("{\"w\"", &format!("{{\"__metadata__\":{{\"counterfoil\":{text}}},\"w\""))
}

/// Bad models: name, content, reason.
fn models() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let two = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"v":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#;
    let masked = |dtype: &str, shape: &str, mask: &[u8]| {
        let end = 16 + mask.len();
        let header = format!(
            r#"{{"w":{{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}},"w_mask":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[16,{end}]}}}}"#
        );
        safetensors(&header, &[&[1; 16], mask].concat())
    };
    let value = |value: f32| safetensors(SOUND.0, &[&value.to_le_bytes()[..], &[0; 12]].concat());
    let mut lengths = safetensors(SOUND.0, &SOUND.1);
    lengths[..8].copy_from_slice(&200_000_000u64.to_le_bytes());
    let mut beyond = safetensors(SOUND.0, &SOUND.1);
    beyond[..8].copy_from_slice(&100_000u64.to_le_bytes());
    let fixture = |name| fs::read(repository().join("fixtures/models").join(name)).unwrap();
    let half = |name| {
        let mut bytes = fixture(name);
        bytes.truncate(bytes.len() / 2);
        bytes
    };
    vec![
        ("nan", value(f32::NAN), "tensor 'w' is NaN"),
        ("infinite", value(f32::NEG_INFINITY), "tensor 'w' is -inf"),
        ("cut", safetensors(SOUND.0, &[0; 15]), "but the file holds"),
        ("surplus", safetensors(SOUND.0, &[0; 17]), ""),
        ("cut_header", safetensors(SOUND.0, &SOUND.1)[..20].to_vec(), ""),
        ("header_oversized", lengths, "200000000 bytes, expected at most 100000000"),
        ("header_beyond_the_end", beyond, "but the file holds"),
        ("header_not_json", safetensors("{\"w\":", &[]), ""),
        ("header_not_utf8", [&9u64.to_le_bytes()[..], b"{\"\xff\xfe\":{}}"].concat(), ""),
        ("shape_other", with("[2,2]", "[2,3]"), "tensor 'w' has 16 bytes"),
        ("shape_overflow", with("[2,2]", "[4294967296,4294967296,16]"), "'w'"),
        ("shape_negative", with("[2,2]", "[2,-2]"), ""),
        ("dtype_unknown", with("F32", "F31"), ""),
        ("offsets_reversed", with("[0,16]", "[16,0]"), ""),
        ("offsets_beyond_the_end", with("[0,16]", "[0,1099511627776]"), ""),
        ("field_missing", with(r#""dtype":"F32","#, ""), ""),
        ("field_twice", with(r#""dtype":"F32","#, r#""dtype":"F32","dtype":"F32","#), ""),
        ("hole", safetensors(&two.replace("[8,16]", "[12,20]"), &[0; 20]), "belong to no tensor"),
        ("overlap", safetensors(&two.replace("[8,16]", "[4,12]"), &[0; 12]), "within another tensor"),
        ("name_twice", safetensors(&two.replace("\"v\"", "\"w\""), &SOUND.1), "tensor 'w' is listed 2 times"),
        ("mask_shape", masked("U8", "[4]", &[1; 4]), "'w_mask' has the shape [4], expected [2, 2]"),
        ("mask_value", masked("U8", "[2,2]", &[1, 0, 2, 1]), "mask 'w_mask' is 2 at position 2, expected 0 or 1"),
        ("mask_alone", with("\"w\"", "\"w_mask\""), "'w_mask' belongs to 'w', which is not there"),
        ("description_newer", described(r#"{"version":2}"#), "the description has version 2, expected 1"),
        (
            "description_field",
            described(r#"{"version":1,"kind":"model","provenance":"random","history":[],"x":1}"#),
            "unknown field `x`",
        ),
        (
            "description_twice",
            described(r#"{"version":1,"version":1,"kind":"model","provenance":"random","history":[]}"#),
            "the key 'version' is repeated",
        ),
        ("description_missing", described(r#"{"version":1,"kind":"model"}"#), "missing field"),
        ("other_container", b"GGUF\x03\0\0\0".to_vec(), "starts with the bytes"),
        ("empty", Vec::new(), "starts with the bytes []"),
        ("zip_cut", half("zip.pt"), ""),
        ("pickle_cut", half("legacy.th"), ""),
        ("zip_names_collide", fixture("collision.pt"), "listed 2 times"),
        ("zip_two_models", fixture("two_models.pt"), "expected one"),
        ("zip_nothing", fixture("nothing.pt"), "holds no tensors"),
        ("zip_expands", fixture("expanded.pt"), "expected at most"),
        ("zip_runs_code", b"PK\x03\x04cos\nsystem\n(S'true'\ntR.".to_vec(), ""),
    ]
}

#[test]
fn models_that_are_malformed() {
    let folder = with_claim();
    for (name, content, reason) in models() {
        folder.write(name, content);
        folder.refuses(&format!("verify {name} --key owner.pub"), name, reason);
        folder.refuses(&format!("inspect {name}"), name, reason);
        folder.refuses(&format!("stamp {name} --key owner.key -o out --unencrypted"), name, reason);
        // Its tensors are asked what network they are before their values are read.
        folder.refuses(&format!("train {name} --data digits -o out"), name, "");
    }
}

#[test]
fn counterfoils() {
    let folder = Folder::new();
    folder.write_keys("owner", 7);
    folder.write("pass", "correct horse");
    folder.write("wrong", "battery staple");
    folder.write("model.bin", safetensors_of([("fc.weight".to_owned(), &[5, 7][..], &[0.0; 35][..])]));
    folder.succeeds("find --data digits --arch mlp --limit 100 --epochs 1 --rewind 0 --sparsity 0.8 --prune-share 0.8 -o t.safetensors");
    folder.succeeds("stamp t.safetensors --key owner.key -o plain.safetensors --unencrypted");
    folder.succeeds("stamp t.safetensors --key owner.key -o locked.safetensors --passphrase-file pass");
    let disclose = |name: &str, how: &str| format!("disclose {name} --panel 1 -o out {how}");
    let train = |name: &str| format!("train plain.safetensors --data digits --counterfoil {name} -o out");

    folder.succeeds("disclose locked.counterfoil --panel 1 -o right --passphrase-file pass");
    let (locked, plain) = ("locked.counterfoil", String::from_utf8(folder.read("plain.counterfoil")).unwrap());
    folder.refuses(&disclose(locked, "--passphrase-file wrong"), locked, "the passphrase does not open the file");
    folder.refuses(&disclose(locked, ""), locked, "needs a passphrase");
    let sealed = folder.read(locked);
    let mut damaged = sealed.clone();
    *damaged.last_mut().unwrap() ^= 1;
    folder.write("damaged", damaged);
    folder.refuses(&disclose("damaged", "--passphrase-file pass"), "damaged", "");
    folder.write("cut", &sealed[..sealed.len() - 20]);
    folder.refuses(&disclose("cut", "--passphrase-file pass"), "cut", "");
    let header = sealed.windows(4).position(|w| w == b"\n---").unwrap();
    let text = String::from_utf8(sealed[..header].to_vec()).unwrap();
    let factor = text.lines().nth(1).unwrap().rsplit(' ').next().unwrap().to_owned();
    let slow = text.replacen(&format!(" {factor}\n"), " 40\n", 1);
    folder.write("slow", [slow.as_bytes(), &sealed[header..]].concat());
    folder.refuses(&disclose("slow", "--passphrase-file pass"), "slow", "");

    let cases = [
        ("newer", plain.replacen("\"version\":1", "\"version\":2", 1), "version 2, expected version 1"),
        ("unknown_field", plain.replacen('{', "{\"x\":1,", 1), "malformed"),
        ("twice", plain.replacen("\"dilution\":", "\"dilution\":1,\"dilution\":", 1), "malformed"),
        ("missing", plain.replacen("\"master\":", "\"mister\":", 1), "malformed"),
        ("short", plain[..plain.len() - 1].to_owned(), "malformed"),
        ("trailing", format!("{plain}{{}}"), "malformed"),
        ("five_panels", plain.replacen("\"sealedPanels\":", "\"sealedPanels\":5,\"x\":", 1), "malformed"),
        ("weak", weak(&plain), "publicKey is refused"),
    ];
    for (name, content, reason) in cases {
        assert_ne!(content, plain, "{name}");
        folder.write(name, content);
        folder.refuses(&disclose(name, ""), name, reason);
        folder.refuses(&train(name), name, reason);
    }
    folder.succeeds("find --data digits --arch mlp --limit 100 --epochs 1 --rewind 0 --sparsity 0.8 --prune-share 0.8 --seed 1 -o u.safetensors");
    folder.succeeds("stamp u.safetensors --key owner.key -o other.safetensors --unencrypted");
    folder.refuses(&train("other.counterfoil"), "plain.safetensors", "its masks are not those of other.counterfoil");
}

/// The counterfoil with a public key of small order.
fn weak(counterfoil: &str) -> String {
    let mut value: Value = serde_json::from_str(counterfoil).unwrap();
    value["publicKey"] = Value::String("0".repeat(64));
    value.to_string()
}

/// A PNG's signature and a header that says so many pixels; nothing after it.
fn png_of(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend([width.to_be_bytes(), height.to_be_bytes()].concat());
    chunk.extend([8, 2, 0, 0, 0]);
    let crc = !chunk.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    });
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec(), chunk, crc.to_be_bytes().to_vec()].concat()
}

#[test]
fn images() {
    let folder = Folder::new();
    let find = |data: &str| format!("find --data {data} --arch mlp --epochs 1 --sparsity 0.5 --prune-share 0.5 -o out");
    let idx = |name: &str, magic: u32, dims: &[u32], data: usize| {
        let dims: Vec<u8> = dims.iter().flat_map(|d| d.to_be_bytes()).collect();
        folder.write(name, [&magic.to_be_bytes()[..], &dims, &vec![0; data]].concat());
    };
    let files =
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
    // (folder, magic and dimensions and bytes of the training images, reason)
    let cases: [(&str, u32, [u32; 3], usize, &str); 5] = [
        ("idx_cut", 0x803, [4, 2, 2], 15, ""),
        ("idx_surplus", 0x803, [4, 2, 2], 17, "holds more than"),
        ("idx_magic", 0x804, [4, 2, 2], 16, "starts with"),
        ("idx_oversized", 0x803, [u32::MAX, u32::MAX, u32::MAX], 16, ""),
        ("idx_count", 0x803, [3, 2, 2], 12, ""),
    ];
    for (data, magic, dims, bytes, reason) in cases {
        let [images, labels, test_images, test_labels] = files.map(|file| format!("{data}/{file}"));
        idx(&images, magic, &dims, bytes);
        idx(&labels, 0x801, &[4], 4);
        idx(&test_images, 0x803, &[4, 2, 2], 16);
        idx(&test_labels, 0x801, &[4], 4);
        folder.refuses(&find(data), data, reason);
    }
    for number in 1..=5 {
        folder.write(&format!("cifar/data_batch_{number}.bin"), vec![0; 3073 * 2]);
    }
    folder.write("cifar/test_batch.bin", vec![0; 3073]);
    folder.write("cifar/data_batch_3.bin", vec![0; 3072]);
    folder.refuses(&find("cifar"), "cifar/data_batch_3.bin", "expected a positive multiple of 3073");
    folder.write("cifar/data_batch_3.bin", [vec![10], vec![0; 3072]].concat());
    folder.refuses(&find("cifar"), "cifar/data_batch_3.bin", "is 10, expected less than 10");

    for (data, image) in
        [("noise", b"not an image".to_vec()), ("cut", png_of(8, 8)), ("bomb", png_of(1 << 20, 1 << 20))]
    {
        for part in ["train", "test"] {
            for class in ["cats", "dogs"] {
                folder.write(&format!("{data}/{part}/{class}/1.png"), &image);
            }
        }
        folder.refuses(&find(data), data, "");
    }
}
