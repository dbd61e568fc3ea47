use counterfoil_ticket::{Mask, ModelFile};
use snapbox::str;

use crate::kit::Folder;

#[test]
fn the_smallest_weights_are_pruned_and_the_mark_is_still_found() {
    let folder = Folder::stamped();
    folder.run("attack prune-mag stamped.safetensors --set share=0.3 -o pruned.bin").success().stderr_eq("").stdout_eq(
        str![[r#"
4156 weights kept, 5937 before: pruned.bin

"#]],
    );
    let [before, after] =
        ["stamped.safetensors", "pruned.bin"].map(|name| ModelFile::open(&folder.path(name)).unwrap().read().unwrap());
    assert!(after.masks.is_empty() && after.description.history.is_empty());
    let (mut kept, mut least_kept, mut largest_gone) = (0, f32::MAX, 0f32);
    for (name, mask) in &before.masks {
        let (old, new) = (before.arrays[name].values(), after.arrays[name].values());
        kept += Mask::of_nonzero(new).kept();
        for position in mask.positions() {
            match new[position] {
                0.0 => largest_gone = largest_gone.max(old[position].abs()),
                value => least_kept = least_kept.min(value.abs()),
            }
        }
    }
    assert_eq!(kept, 4156);
    assert!(largest_gone <= least_kept, "{largest_gone} {least_kept}");

    let proof = "--key owner.pub --claim stamped.claim.json --disclosure panel1.disclosure";
    let report = folder.json(&format!("verify pruned.bin {proof} --json"));
    assert_eq!(report["verdict"], "proven", "{report:#}");
    assert!(report["tests"][0]["n"].as_u64().unwrap() < 413, "{report:#}");
}

#[test]
fn a_network_with_more_channels_answers_as_before() {
    let folder = Folder::stamped();
    folder.run("attack nso-zero stamped.safetensors --set share=0.1 -o wide.bin").success();
    let wide = ModelFile::open(&folder.path("wide.bin")).unwrap().read().unwrap();
    assert_eq!(wide.arrays["fc1.weight"].shape(), [330, 64]);
    let correct = |file: &str| folder.json(&format!("evaluate {file} --data digits --json"))["correct"].clone();
    assert_eq!(correct("wide.bin"), correct("stamped.safetensors"));
}

#[test]
fn what_goes_at_random_follows_the_seed() {
    let folder = Folder::stamped();
    for (seed, file) in [(1, "a.bin"), (1, "b.bin"), (2, "c.bin")] {
        folder.run(&format!("attack prune-rand stamped.safetensors --set share=0.5 --seed {seed} -o {file}")).success();
    }
    assert_eq!(folder.read("a.bin"), folder.read("b.bin"));
    assert_ne!(folder.read("a.bin"), folder.read("c.bin"));
}

#[test]
fn nothing_is_overwritten_and_shares_have_their_range() {
    let folder = Folder::stamped();
    folder.refuses(
        "attack prune-mag stamped.safetensors -o stamped.safetensors --force",
        str![[r#"
error: stamped.safetensors: is both the model and the attacked model, expected different files
hint: give each a name of its own; inputs are never overwritten

"#]],
    );
    folder.refuses(
        "attack prune-mag stamped.safetensors -o pruned.bin --set share=1.5",
        str![[r#"
error: share of prune-mag is '1.5', expected a number from 0 to 1

"#]],
    );
}

#[test]
fn a_key_mask_is_guessed_of_a_locked_ticket_by_dense_weights() {
    let folder = Folder::stamped();
    folder.run("lock stamped.safetensors --strategy random -o locked.safetensors --key-mask key.mask --unencrypted");
    folder
        .run("attack add-back-mag locked.safetensors --rewound ticket.safetensors -o guessed.bin")
        .success()
        .stderr_eq("")
        .stdout_eq(str![[r#"
5937 weights kept, 5640 before: guessed.bin

"#]]);
    folder.refuses(
        "attack add-back-mag locked.safetensors --rewound locked.safetensors -o other.bin",
        str![[r#"
error: the rewound weights are 0 at [..] of the [..] positions that the model prunes, expected weights there too
hint: name a file that has the initial weights of all positions: the ticket as 'find' wrote it, or the checkpoint that it was found from

"#]],
    );
    folder.run("attack add-back-rand stamped.safetensors -o other.bin").success().stderr_eq(str![[r#"
warning: stamped.safetensors: does not say that it is locked: there may be no key mask to guess

"#]]);
}
