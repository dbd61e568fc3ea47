use image::{ColorType, save_buffer};
use snapbox::str;

use crate::kit::Folder;

/// With a folder of eight trigger images, stripes of one width each, and this label file.
fn with_triggers(labels: &str) -> Folder {
    let folder = Folder::with_ticket();
    std::fs::create_dir(folder.path("triggers")).unwrap();
    for t in 1..=8usize {
        let pixels: Vec<u8> = (0..64).map(|i| if i / t % 2 == 0 { 255 } else { 0 }).collect();
        save_buffer(folder.path(&format!("triggers/{t}.png")), &pixels, 8, 8, ColorType::L8).unwrap();
    }
    folder.write("triggers/labels.txt", labels.as_bytes());
    folder
}

#[test]
fn triggers_of_a_folder_are_learned_and_counted() {
    let folder = with_triggers("3\n1\n4\n1\n5\n9\n2\n6\n");
    let train = "train ticket.safetensors --data digits --epochs 6";
    folder.run(&format!("{train} --trigger-folder triggers -o model.bin")).success();
    folder.run(&format!("{train} -o plain.bin")).success();
    let hits = |model: &str| {
        let result = folder.json(&format!("evaluate {model} --data digits --trigger-folder triggers --json"));
        assert_eq!(result["triggers"]["of"], 8);
        result["triggers"]["hits"].as_u64().unwrap()
    };
    assert_eq!(hits("model.bin"), 8);
    // A stranger hits each with chance 1/10: six or more of eight once in 40,000 keys, and this one is fixed.
    assert!(hits("plain.bin") < 6);
}

#[test]
fn labels_that_fit_nothing_are_refused() {
    let folder = with_triggers("3\n1\n4\n");
    folder.refuses(
        "train ticket.safetensors --data digits --trigger-folder triggers -o model.bin",
        str![[r#"
error: triggers/labels.txt: holds 3 labels, expected 8, one for each image

"#]],
    );
    folder.write("triggers/more.txt", b"");
    folder.refuses(
        "evaluate ticket.safetensors --data digits --trigger-folder triggers",
        str![[r#"
error: triggers: holds several label files (labels.txt, more.txt), expected one
hint: name one of them: --trigger-labels FILE

"#]],
    );
    folder.refuses(
        "evaluate ticket.safetensors --data digits --trigger-labels triggers/labels.txt",
        str![[r#"
error: the following required arguments were not provided:
  --trigger-folder <FOLDER>

Usage: counterfoil evaluate --data <DATA> --trigger-folder <FOLDER> --trigger-labels <FILE> <MODEL>

For more information, try '--help'.

"#]],
    );
}
