use counterfoil_mark::qr::{Format, Request, Whereabouts, embed};
use counterfoil_ticket::{Kind, Model};
use snapbox::str;

use crate::kit::{Folder, Size, ticket};

const EMBED: &str = "qr embed ticket.safetensors --key owner.pub -o coded.safetensors";

/// With a ticket of 100 x 300 kernels and what `EMBED` makes of it.
fn coded() -> Folder {
    let folder = Folder::with_ticket();
    folder.run(EMBED).success().stderr_eq("");
    folder
}

#[test]
fn a_code_is_laid_over_and_read() {
    let folder = Folder::with_ticket();
    folder.run(EMBED).success().stderr_eq("").stdout_eq(str![[r#"
'324be2dea8bc44461b0233e5' in version 3, level H, at row 7, column 162 of fc2.weight
320 of 567 data modules were right already; 220 kernels opened, 27 closed
220 of 5,937 kept weights move (3.7 %)

wrote coded.safetensors
Stamp it now: a code says whose model this is meant to be, and a stamp proves it.

"#]]);
    folder.run("qr read coded.safetensors").success().stderr_eq("").stdout_eq(str![[r#"
'324be2dea8bc44461b0233e5' in version 3, level H, at row 7, column 162 of fc2.weight
  0 of 567 data modules damaged
looked at 29,376 places of 2 layers
A code proves nothing by itself: anybody can lay one over. See 'counterfoil verify'.

"#]]);
    folder.run("qr read ticket.safetensors").code(1).stderr_eq("").stdout_eq(str![[r#"
no code of version 3, level H; --version and --level look for others, --any for all
looked at 29,376 places of 2 layers

"#]]);
}

#[test]
fn what_is_written_is_what_the_library_makes() {
    let folder = coded();
    let key = counterfoil_claim::OwnerKey::from_seed(&[7; 32]).public();
    let text = counterfoil_mark::qr::short_id(&key);
    let request = Request { text: &text, format: Format::default(), whereabouts: Whereabouts::Anywhere, seed: 0 };
    folder.write_model("expected.safetensors", &embed(&ticket(Size::Usual), &request).unwrap().model);
    assert_eq!(folder.read("coded.safetensors"), folder.read("expected.safetensors"));
}

#[test]
fn a_stamp_leaves_the_code_as_it_is() {
    let folder = coded();
    folder.run("stamp coded.safetensors --key owner.key -o stamped.safetensors --unencrypted").success();
    let read = folder.json("qr read stamped.safetensors --json");
    assert_eq!(read["codes"][0]["damaged"], 0, "{read:#}");
    assert_eq!(folder.json("verify stamped.safetensors --key owner.pub --json")["verdict"], "marked");
    folder.refuses("qr embed stamped.safetensors --key owner.pub -o again.safetensors", str![[r#"
error: stamped.safetensors: the ticket is stamped, and its claim is about the masks that it has, expected one without a mark
hint: lay the code over the ticket as it was found, and stamp it then: the code stays

"#]]);
}

#[test]
fn json_has_everything() {
    let folder = Folder::with_ticket();
    let embedded =
        folder.json("qr embed ticket.safetensors --text ACME --version 1 --level l -o coded.safetensors --json");
    let read = folder.json("qr read coded.safetensors --version 1 --level l --json");
    let code = &read["codes"][0];
    for field in ["text", "carrier", "row", "column", "format", "mask_pattern", "data_modules"] {
        assert!(!code[field].is_null(), "{field}");
        assert_eq!(code[field], embedded[field], "{field}");
    }
    assert_eq!((&code["text"], &code["damaged"]), (&"ACME".into(), &0.into()));
    let any = folder.json("qr read coded.safetensors --any --json");
    assert_eq!(any["codes"], read["codes"]);
    assert_eq!(any["formats"].as_array().map(Vec::len), Some(40));
    // Nothing of versions 3 and H.
    assert_eq!(folder.json("qr read coded.safetensors --json")["codes"], serde_json::json!([]));
}

#[test]
fn the_picture_is_written_once_and_only_if_there_is_a_code() {
    let folder = coded();
    folder.run("qr read coded.safetensors --png read.png").success();
    let picture = folder.read("read.png");
    assert!(picture.starts_with(b"\x89PNG\r\n"));
    folder.refuses(
        "qr read coded.safetensors --png read.png",
        str![[r#"
error: read.png: already exists
hint: --force replaces it, or choose another name

"#]],
    );
    folder.run("qr read coded.safetensors --png read.png --force").success();
    assert_eq!(folder.read("read.png"), picture);
    folder.run("qr read ticket.safetensors --png none.png").code(1);
    assert!(!folder.listing().contains(&"none.png".to_owned()));
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = Folder::with_ticket();
    folder.refuses(
        &format!("{EMBED} --version 1"),
        str![[r#"
error: ticket.safetensors: the text of the code has 24 bytes, expected at most 7, as version 1, level H holds
hint: choose a larger --version, or a lower --level

"#]],
    );
    folder.refuses(
        "qr embed ticket.safetensors --text x --carrier fc9.weight -o coded.safetensors",
        str![[r#"
error: ticket.safetensors: the ticket has no pruned layer 'fc9.weight'
hint: 'counterfoil inspect' shows the layers and their masks

"#]],
    );
    folder.refuses(
        "qr embed ticket.safetensors --text x -o ticket.safetensors --force",
        str![[r#"
error: ticket.safetensors: is both the ticket and the ticket with the code, expected different files
hint: give each a name of its own; inputs are never overwritten

"#]],
    );
    folder.refuses(
        "qr embed ticket.safetensors -o coded.safetensors",
        str![[r#"
error: the following required arguments were not provided:
  <--key <FILE>|--text <TEXT>>

Usage: counterfoil qr embed --output <FILE> <--key <FILE>|--text <TEXT>> <TICKET>

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        "qr embed ticket.safetensors --key owner.pub --text x -o coded.safetensors",
        str![[r#"
error: the argument '--key <FILE>' cannot be used with '--text <TEXT>'

Usage: counterfoil qr embed --output <FILE> <--key <FILE>|--text <TEXT>> <TICKET>

For more information, try '--help'.

"#]],
    );
    folder.refuses(
        "qr embed ticket.safetensors --text x --version 11 -o coded.safetensors",
        str![[r#"
error: invalid value '11' for '--version <VERSION>': expected 1 to 10

For more information, try '--help'.

"#]],
    );
    let mut model: Model = ticket(Size::Small);
    model.description.kind = Kind::Ticket;
    folder.write_model("ticket.safetensors", &model);
    folder.refuses(
        &format!("{EMBED} --version 10"),
        str![[r#"
error: ticket.safetensors: a code of version 10, level H needs a layer that can keep as many weights under it as before, and none of the 2 layers with room for the code can: the closest, 'fc2.weight', keeps 166, expected 1370 to 28653
hint: choose a smaller --version, or find a ticket that keeps more weights (a lower --sparsity)

"#]],
    );
}

#[test]
fn a_ticket_has_one_code() {
    let folder = coded();
    folder.refuses(
        "qr embed coded.safetensors --text again -o again.safetensors",
        str![[r#"
error: coded.safetensors: the ticket has a code already, '324be2dea8bc44461b0233e5' in layer 'fc2.weight', which another could damage, expected none
hint: lay the code over the ticket as it was found

"#]],
    );
}

#[test]
fn a_code_that_moves_much_is_warned_of() {
    let folder = Folder::with_ticket();
    folder.run(&format!("{EMBED} --version 7")).success().stderr_eq(str![[r#"
warning: 10.2 % of the kept weights move, more than 10.0 %: the ticket may train less well (a smaller --version moves fewer)

"#]]);
}
