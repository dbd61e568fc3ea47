use snapbox::str;

use crate::kit::Folder;

#[test]
fn wrong_usage_exits_with_2() {
    let folder = Folder::new();
    folder.refuses(
        "verify",
        str![[r#"
error: the following required arguments were not provided:
  --key <FILE>
  <MODEL>

Usage: counterfoil verify --key <FILE> <MODEL>

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        "verfy model.bin --key owner.pub",
        str![[r#"
error: unrecognized subcommand 'verfy'

  tip: a similar subcommand exists: 'verify'

Usage: counterfoil <COMMAND>

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        "verify model.bin --key owner.pub --threshold 64",
        str![[r#"
error: invalid value '64' for '--threshold <BITS>': expected a number of bits below 0, such as -64

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        "verify model.bin --key owner.pub --tests masks",
        str![[r#"
error: invalid value 'masks' for '--tests <TESTS>'
  [possible values: mask, trigger]

  tip: a similar value exists: 'mask'

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        "find --data digits --arch vgg16 -o ticket.safetensors",
        str![[r#"
error: a vgg16 halves its images until nothing is left of 8x8 pixels: expected 32x32 at least
hint: --resize enlarges the images of a folder; or choose another --arch

"#]],
    );
    folder.refuses("verify model.bin --key owner.pub --normalisation 0.5", str![[r#"
error: invalid value '0.5' for '--normalisation <MEAN:STD>': expected MEAN:STD on the scale 0 to 1, as many of each, such as 0.5:0.25 or 0.49,0.48,0.45:0.2,0.2,0.2

For more information, try '--help'.

"#]]);
    folder.refuses(
        "stamp t --key k -o x --max-moved 10",
        str![[r#"
error: invalid value '10' for '--max-moved <SHARE>': expected a share above 0 and at most 1, such as 0.05

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        "stamp t --key k -o x --dilution 3",
        str![[r#"
error: invalid value '3' for '--dilution <D>': expected 1, 2, 4 or 8

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        "stamp t --key k -o x --unencrypted --passphrase-file p",
        str![[r#"
error: the argument '--unencrypted' cannot be used with '--passphrase-file <FILE>'

Usage: counterfoil stamp --key <FILE> --output <FILE> --unencrypted <TICKET>

For more information, try '--help'.

"#]],
    );
}

#[test]
fn help_and_version_exit_with_0() {
    let folder = Folder::new();
    for command in ["--version", "--help", "verify --help", "stamp -h", "help inspect"] {
        folder.run(command).success().stderr_eq("");
    }
    folder.run("").code(2);
}

#[test]
fn a_threshold_is_a_negative_number_with_or_without_an_equals_sign() {
    let folder = Folder::stamped();
    for threshold in ["--threshold -100", "--threshold=-100", "--threshold -100.5"] {
        folder.run(&format!("verify stamped.safetensors --key owner.pub --tests mask {threshold}")).code(0);
    }
}

#[test]
fn more_threads_than_any_machine_has_are_refused() {
    let folder = Folder::with_ticket();
    let run = |threads: &str| folder.command("inspect ticket.safetensors").env("RAYON_NUM_THREADS", threads).assert();
    run("5000000").code(2).stdout_eq("").stderr_eq(str![[r#"
error: RAYON_NUM_THREADS is '5000000', expected a number of threads up to 1024

"#]]);
    run("3").code(0);
    run("many").code(0); // which rayon ignores
}

#[cfg(not(any(feature = "cuda", feature = "vulkan", feature = "wgpu")))]
#[test]
fn a_device_that_is_not_built_in_says_how_to_build_it() {
    let folder = Folder::with_ticket();
    for (device, feature) in [("cuda:1", "cuda"), ("vulkan", "vulkan"), ("wgpu", "wgpu")] {
        let stderr = format!(
            "error: device '{device}' needs the feature '{feature}', with which this binary was not built\n\
             hint: build it in: cargo build --release -p counterfoil-cli --features {feature}\n"
        );
        folder.refuses(&format!("evaluate ticket.safetensors --data digits --device {device}"), stderr);
    }
    folder.refuses(
        "evaluate ticket.safetensors --data digits --device gpu",
        str![[r#"
error: invalid value 'gpu' for '--device <DEVICE>': device 'gpu' is unknown, expected cpu, cuda:N, vulkan or wgpu

For more information, try '--help'.

"#]],
    );
}
