use snapbox::str;

use crate::kit::Folder;

#[test]
fn a_ticket_s_layers_and_graph_are_shown() {
    Folder::with_ticket().run("inspect ticket.safetensors").success().stderr_eq("").stdout_eq(str![[r#"
ticket.safetensors: ticket (safetensors); mlp, images 1x8x8, hidden 300, 100, 10 classes
Initial weights random.

layer       shape         kept      of  density          kernels
fc1.weight  300x64x1x1   2,347  19,200   12.2 %  2,347 of 19,200  mask
fc2.weight  100x300x1x1  3,590  30,000   12.0 %  3,590 of 30,000  mask
fc3.weight  10x100x1x1   1,000   1,000  100.0 %   1,000 of 1,000
all                      6,937  50,200   13.8 %

Channels   474 joined by 6,937 kernels and 0 shortcuts
Components 1 and 0 channels without an edge
Dead       0 of 400 hidden channels lie on no path from input to classes
Paths      280,130 from input to classes
Sparsity   86.2 % direct, 86.2 % effective (kept weights on no path count as pruned)

"#]]);
}

#[test]
fn zeros_are_a_mask_too() {
    let folder = Folder::stamped();
    let inspection = folder.json("inspect stamped.safetensors --json");
    assert_eq!(inspection["description"]["kind"], "stamped");
    assert_eq!(inspection["layers"][0]["masked"], true);
    assert_eq!(inspection["layers"][2]["masked"], false);
    assert_eq!(inspection["layers"][2]["kept"], inspection["layers"][2]["positions"]);
    assert_eq!(inspection["graph"]["channels"], 64 + 300 + 100 + 10);
}

#[test]
fn a_plot_is_the_same_every_time_and_needs_no_fonts() {
    let folder = Folder::with_ticket();
    folder.run("inspect ticket.safetensors --plot a.svg").success();
    folder.run("inspect ticket.safetensors --plot b.svg").success();
    let svg = String::from_utf8(folder.read("a.svg")).unwrap();
    assert_eq!(svg.as_bytes(), folder.read("b.svg"));
    assert!(svg.starts_with("<svg") && svg.contains("fc1.weight") && svg.contains("kernels into a channel"));
    folder.refuses(
        "inspect ticket.safetensors --plot a.svg",
        str![[r#"
error: a.svg: already exists
hint: --force replaces it, or choose another name

"#]],
    );
    folder.refuses(
        "inspect ticket.safetensors --plot ticket.safetensors --force",
        str![[r#"
error: ticket.safetensors: is both the model and the plot, expected different files
hint: give each a name of its own; inputs are never overwritten

"#]],
    );
}

#[test]
fn claims_are_read_under_their_key_only() {
    let folder = Folder::stamped();
    folder.run("inspect stamped.claim.json --key owner.pub").success().stderr_eq("").stdout_eq(str![[r#"
Claim on 'stamped.safetensors' (ticket a1800e699746462da5b91da33b44141462dfbe51719ce140d6f6bd7b86616a70)
Signed by 324be2dea8bc44461b0233e51fa48902ed6b1cc671e7739af2551e0bfe68f54e: the signature fits
Claim id  abd6e8d649b25fea7d29d7a8a54bad5f057bb0f1e772ff1abc9f22b865d52d58
Stamped   2026-01-01T00:00:00Z by counterfoil 0.1.0, by swaps with 296 moved
Weights   initially random
Ticket    5,937 kept in 2 layers, one in 8 marked
Triggers  40 public, 40 for each sealed panel

panel       n  chip +1  log2 p when stamped
0 public  375      329               -177.4
1 sealed  390      339               -175.6

"#]]);
    folder.refuses(
        "inspect stamped.claim.json",
        str![[r#"
error: stamped.claim.json: a claim is read only under the key that signed it
hint: give the owner's public key: --key owner.pub

"#]],
    );
    folder.refuses("inspect stamped.claim.json --key other.pub", str![[r#"
error: stamped.claim.json: claim: signed by key 324be2dea8bc44461b0233e51fa48902ed6b1cc671e7739af2551e0bfe68f54e, expected key 496410a672746eb3070ef5a040cafeb59fada74086efdb778ecc8a2fb90193e9
hint: this is another owner's claim: give that owner's public key, or this key's claim

"#]]);
}

#[test]
fn public_keys_have_an_id() {
    Folder::new().run("inspect owner.pub").success().stdout_eq(str![[r#"
public key 324be2dea8bc44461b0233e51fa48902ed6b1cc671e7739af2551e0bfe68f54e

"#]]);
}

#[test]
fn private_files_are_not_shown() {
    let folder = Folder::stamped();
    folder.refuses(
        "inspect stamped.counterfoil",
        str![[r#"
error: stamped.counterfoil: starts with the bytes [7b, 22, 76, 65, 72, 73, 69, 6f], expected safetensors or PyTorch
hint: stamped.counterfoil is a counterfoil, and a model is needed here

"#]],
    );
    folder.refuses(
        "inspect owner.key",
        str![[r#"
error: owner.key: starts with the bytes [2d, 2d, 2d, 2d, 2d, 42, 45, 47], expected safetensors or PyTorch
hint: owner.key is a private key, and a model is needed here

"#]],
    );
}

#[test]
fn only_models_are_plotted() {
    let folder = Folder::stamped();
    folder.refuses(
        "inspect owner.pub --plot a.svg",
        str![[r#"
error: owner.pub: is a public key, expected a model to plot
hint: leave --plot out

"#]],
    );
    folder.refuses(
        "inspect stamped.claim.json --key owner.pub --plot a.svg",
        str![[r#"
error: stamped.claim.json: is a claim, expected a model to plot
hint: leave --plot out

"#]],
    );
}

#[test]
fn names_stay_on_their_line() {
    let folder = Folder::with_ticket();
    folder.write_renamed("ticket.safetensors", "evil.safetensors", "fc3.weight", "fc3\nPROVEN");
    let text = String::from_utf8(folder.command("inspect evil.safetensors").output().unwrap().stdout).unwrap();
    assert!(text.contains("fc3\\nPROVEN") && !text.contains("\nPROVEN"), "{text}");
}
