use counterfoil_mark::masks_of;
use counterfoil_ticket::{Mask, ModelFile, Pattern};
use snapbox::str;

use crate::kit::{Folder, Size, ticket};

#[test]
fn an_option_of_another_finder_is_refused() {
    let folder = Folder::new();
    folder.refuses(
        "find --data digits --finder snip --rewind 1 -o x",
        str![[r#"
error: the finder 'snip' takes no --rewind, expected it with imp, magnitude, rigl, granet, sap, bip, nm, class-aware, channel only

"#]],
    );
    folder.refuses(
        "find --data digits --finder nm --sparsity 0.5 -o x",
        str![[r#"
error: the finder 'nm' takes no --sparsity, expected it with imp, magnitude, random, snip, grasp, synflow, rigl, granet, sap, edge-popup, jackpot, bip, class-aware, channel only

"#]],
    );
    folder.refuses(
        "find --data digits --finder jackpot -o x",
        str![[r#"
error: the finder 'jackpot' seeks a mask on pretrained weights, and none are given
hint: name a trained model: --pretrained FILE

"#]],
    );
    folder.refuses(
        "find --data digits --finder magnitude --pretrained m --no-rewind -o x",
        str![[r#"
error: --rewind and --no-rewind are for weights that are trained, and those of --pretrained stay as they are

"#]],
    );
    folder.refuses(
        "find --data digits --finder snip --key owner.key --mark-decay 0.01 -o x",
        str![[r#"
error: the finder 'snip' takes no --mark-decay, expected --mark-factor

"#]],
    );
}

#[test]
fn an_option_that_would_do_nothing_is_refused() {
    let folder = Folder::new();
    folder.refuses(
        "find --data digits --finder random --epochs 9 -o x",
        str![[r#"
error: the finder 'random' trains nothing, expected no --epochs

"#]],
    );
    folder.refuses(
        "find --data digits --finder magnitude --pretrained m --rate 3 -o x",
        str![[r#"
error: the finder 'magnitude' with --pretrained trains nothing, expected no --rate

"#]],
    );
    folder.refuses(
        "find --data digits --finder magnitude --pretrained m --arch resnet20 -o x",
        str![[r#"
error: the network is that of --pretrained, expected no --arch

"#]],
    );
    folder.refuses(
        "find --data digits --finder jackpot --pretrained m --hidden 20 -o x",
        str![[r#"
error: the network is that of --pretrained, expected no --hidden

"#]],
    );
    folder.refuses(
        "find --data digits --hidden 20 -o x",
        str![[r#"
error: the network has no --hidden, expected it with '--arch mlp' only

"#]],
    );
    folder.refuses(
        "find --data digits --arch mlp --width 4 -o x",
        str![[r#"
error: the network has no --width, expected it with a convolutional one only

"#]],
    );
}

#[test]
fn a_record_has_no_settings_that_were_not_used() {
    let folder = Folder::new();
    folder.run("find --data digits --finder synflow --arch mlp --hidden 20,10 --limit 100 -o x").success();
    let model = ModelFile::open(&folder.path("x")).unwrap().read().unwrap();
    let aim = model.description.history[0]["aim"].as_object().unwrap();
    assert_eq!(aim.keys().collect::<Vec<_>>(), ["seed", "sparsity"]);
}

#[test]
fn a_preset_s_options_are_refused_by_line_and_given_ones_win() {
    let folder = Folder::new();
    folder.write("p.toml", b"finder = \"snip\"\nwdith = 4\n");
    folder.run("find --preset p.toml --data digits -o x").failure().stderr_eq(str![[r#"
error: p.toml: line 2: 'wdith' is no option of a preset, expected one of [..]

"#]]);
    folder.write("p.toml", b"finder = \"snip\"\nsparsity = 0.5\narch = \"mlp\"\nhidden = [20, 10]\nlimit = 100\n");
    folder.run("find --preset p.toml --data digits --sparsity 0.9 -o x").success();
    let model = ModelFile::open(&folder.path("x")).unwrap().read().unwrap();
    let kept: usize = model.masks.values().map(Mask::kept).sum();
    assert_eq!(kept, ((64 * 20 + 20 * 10) as f64 * 0.1).round() as usize);
    assert_eq!(model.description.history[0]["finder"], "snip");
}

#[test]
fn what_another_finder_has_no_use_for_is_left_out_of_a_preset() {
    let folder = Folder::new();
    let preset =
        "arch = \"mlp\"\nhidden = [20, 10]\nfinder = \"imp\"\nlimit = 100\nprune-share = 0.2\nrewind = 1\nepochs = 2\n";
    folder.write("p.toml", preset.as_bytes());
    folder.run("find --preset p.toml --finder snip --data digits -o x").success().stderr_eq(str![[r#"
warning: p.toml: this search has no use for --prune-share, --rewind, --epochs, which the preset sets: left out
round 1 of 1 pruned: 74 of 1480 weights kept

"#]]);
    folder.refuses(
        "find --preset p.toml --finder random --data digits --rate 3 -o y",
        str![[r#"
warning: p.toml: this search has no use for --prune-share, --rewind, --epochs, which the preset sets: left out
error: the finder 'random' trains nothing, expected no --rate

"#]],
    );
    // Without another finder it is the preset that is wrong.
    folder.write("p.toml", b"finder = \"snip\"\nsparsity = 0.5\nprune-share = 0.2\n");
    folder.refuses(
        "find --preset p.toml --data digits -o y",
        str![[r#"
error: p.toml: line 3: the finder 'snip' takes no --prune-share, expected it with imp only

"#]],
    );
}

#[test]
fn a_preset_s_values_are_refused_by_line() {
    let folder = Folder::new();
    folder.write("p.toml", b"arch = \"mlp\"\nrewind = 1\nepochs = \"x\"\n");
    folder.refuses(
        "find --preset p.toml --data digits -o x",
        str![[r#"
error: p.toml: line 3: invalid value 'x' for '--epochs <N>': invalid digit found in string

"#]],
    );
    folder.refuses(
        "find --preset p.toml --data digits --epochs 1 -o x",
        str![[r#"
error: rewind is 1, expected an epoch before the last one
hint: name an earlier epoch with --rewind, or the initial weights with --no-rewind; a preset may have named one

"#]],
    );
}

#[test]
fn what_a_keyed_search_writes_is_listed() {
    let folder = Folder::new();
    let find =
        "find --data digits --limit 100 --arch mlp --hidden 300,100 --finder snip --sparsity 0.7 --key owner.key";
    folder.run(&format!("{find} -o keyed.safetensors --unencrypted")).success().stdout_eq(str![[r#"
keyed.safetensors: [..] weights kept in 2 layers, [..]
...
wrote
keyed.safetensors  the stamped ticket, to be trained
keyed.claim.json   signed and public: verifiers need it
keyed.counterfoil  private: opens the sealed panels, keep it as safe as the key

"#]]);
}

#[test]
fn stamping_keeps_an_n_of_m_pattern() {
    let folder = Folder::new();
    let pattern = Pattern::new(2, 4).unwrap();
    let mut model = ticket(Size::Usual);
    model.description.pattern = Some(pattern);
    for carrier in model.marked_carriers() {
        let mut mask = Mask::empty(carrier.shape.size());
        for (i, block) in pattern.blocks(carrier.shape).enumerate() {
            let positions: Vec<usize> = block.positions().collect();
            [i, i + 1 + i % 3].iter().for_each(|place| mask.set(positions[place % positions.len()], true));
        }
        model.masks.insert(carrier.name, mask);
    }
    folder.write_model("nm.safetensors", &model);
    folder.run("stamp nm.safetensors --key owner.key -o s.safetensors --unencrypted").success();
    let stamped = ModelFile::open(&folder.path("s.safetensors")).unwrap().read().unwrap();
    assert_eq!(stamped.description.pattern, Some(pattern));
    let masks = masks_of(&stamped);
    assert_ne!(masks, model.masks);
    for carrier in model.marked_carriers() {
        let mask = &masks[&carrier.name];
        assert!(pattern.blocks(carrier.shape).all(|block| block.positions().filter(|&p| mask.keeps(p)).count() == 2));
    }
}

#[test]
fn a_ticket_is_tried_against_its_controls() {
    let folder = Folder::new();
    let find =
        "find --data digits --limit 300 --arch mlp --hidden 60,30 --epochs 4 --sparsity 0.9 --prune-share 0.7 -o t";
    folder.run(find).success();
    let trial = "inspect t --is-it-winning --data digits --limit 300 --limit-test 200 --epochs 4";
    let report = folder.json(&format!("{trial} --json"));
    for kind in ["ticket", "reinitialised", "shuffled"] {
        assert_eq!(report[kind]["each"].as_array().unwrap().len(), 3, "{report}");
    }
    assert_eq!(report["barrier"]["losses"].as_array().unwrap().len(), 11, "{report}");
    let beaten = ["beats_reinitialised", "beats_shuffled"].map(|control| report[control].as_bool().unwrap());
    let judgement = if beaten == [true, true] { "winning" } else { "not-shown" };
    assert_eq!(report["judgement"], judgement, "{report}");
    let text = folder.command(trial).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("winning ticket: it") && text.contains("stable"), "{text}");

    // Trained weights would win under any mask.
    folder
        .run("find --data digits --limit 300 --finder magnitude --pretrained t --sparsity 0.95 -o pretrained")
        .success();
    let trial = trial.replace("inspect t", "inspect pretrained").replace("--epochs 4", "--epochs 1");
    let report = folder.json(&format!("{trial} --json"));
    assert_eq!((&report["judgement"], &report["head_start"]), (&"not-judged".into(), &"trained".into()), "{report}");
    let text = folder.command(&trial).output().unwrap();
    assert!(String::from_utf8(text.stdout).unwrap().contains("Not judged: its weights were trained before"));
    folder.refuses(
        "inspect t --is-it-winning",
        str![[r#"
error: the following required arguments were not provided:
  --data <DATA>

Usage: counterfoil inspect --is-it-winning --data <DATA> <FILE>

For more information, try '--help'.

"#]],
    );
}
