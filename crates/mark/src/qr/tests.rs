use counterfoil_ticket::{Architecture, Array, Carrier, ImageShape, Kind, Mask, Model, Pattern};
use proptest::prelude::*;

use super::layout::{Layout, Rows, inverts};
use super::*;

const TEXT: &str = "5d8e0b4c1f2a3b6c7d8e9f00";

/// A ResNet-20 ticket that keeps about this share of its positions, drawn with this seed.
fn ticket(density: f64, seed: u64) -> Model {
    let input = ImageShape { channels: 1, height: 8, width: 8 };
    let architecture = Architecture::Resnet20 { input, width: 16, classes: 10 };
    let mut model = Model::default();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = || {
        // Xorshift (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    for layer in architecture.layers() {
        let [o, i, h, w] = <[u32; 4]>::from(layer.shape).map(|d| d as usize);
        let shape = if (h, w) == (1, 1) { vec![o, i] } else { vec![o, i, h, w] };
        let values: Vec<f32> = (0..layer.shape.size()).map(|_| random() as f32 - 0.5).collect();
        if layer.prunable {
            model.masks.insert(layer.weight(), Mask::from_fn(values.len(), |_| random() < density));
            model.scores.insert(layer.weight(), values.iter().map(|v| v.abs()).collect());
        }
        model.arrays.insert(layer.weight(), Array::new(shape, values).unwrap());
    }
    model.description.kind = Kind::Ticket;
    model.description.architecture = Some(architecture);
    model
}

fn request(text: &str) -> Request<'_> {
    Request { text, format: Format::default(), whereabouts: Whereabouts::Anywhere, seed: 1 }
}

fn read(model: &Model, reader: &Reader) -> Vec<Found> {
    model.carriers().iter().filter_map(|c| Some(reader.read(c, model.masks.get(&c.name)?))).flatten().collect()
}

/// A carrier of this one code's size whose kernels of one position are its modules.
fn bare(rows: &Rows) -> (Carrier, Mask) {
    let side = rows.len();
    let carrier = Carrier::number([("w", &[side, side][..])]).remove(0);
    (carrier, Mask::from_fn(side * side, |p| rows[p / side] >> (p % side) & 1 == 1))
}

#[test]
fn codes_are_those_of_other_encoders() {
    // The paper's: Python qrcode 8, QRCode(version=3, error_correction=ERROR_CORRECT_H, mask_pattern=5), 'signature' as bytes.
    let expected = [
        "#######.#.##.#.#.#.##.#######",
        "#.....#..##....##.#.#.#.....#",
        "#.###.#.#..#..#.......#.###.#",
        "#.###.#..#.#.#.##.#.#.#.###.#",
        "#.###.#.###..###.#..#.#.###.#",
        "#.....#..#.#..#..#.#..#.....#",
        "#######.#.#.#.#.#.#.#.#######",
        "........#.#.#.##.####........",
        ".....##...#.##.#...#..#.#.#.#",
        "#........#.##...#.#...##.#...",
        ".#.#.###.###.##..###......#..",
        "#.#.##.....#.#.#.####..#.####",
        ".##...#...###...##..#.#..####",
        ".#.###.#..#..###..#..####.##.",
        ".#########.#.#.#.##.##.###.#.",
        ".##....##.#..###.#...##.#####",
        "#.#..##.#..#.#.#..#.##.##.##.",
        "#.####..#.###.#.##...#..#..##",
        "####..#..#.#.###...#..#.#.#.#",
        "#..#...#.....#.#.....#..#..#.",
        "#.###.#.#..#.##.#...######.##",
        "........#####...##..#...###.#",
        "#######..#.##...#####.#.###.#",
        "#.....#.#.####.#.#.##...##..#",
        "#.###.#...#.#.##.#.#######...",
        "#.###.#..#.#.####.#.##...##..",
        "#.###.#..##.#.##......###.##.",
        "#.....#..#.######.#.##...#..#",
        "#######..#####..#..#####.....",
    ];
    let dark = |row: &str| row.bytes().enumerate().fold(0, |word, (c, byte)| word | u64::from(byte == b'#') << c);
    let layout = Layout::new(Format::default());
    assert_eq!(layout.encode("signature", 5), expected.map(dark));
}

#[test]
fn what_is_laid_over_is_read_and_every_layer_keeps_as_much_as_before() {
    let reader = Reader::new([Format::default()]);
    for (density, seed) in [(0.02, 1), (0.05, 2), (0.2, 3), (0.6, 4)] {
        let ticket = ticket(density, seed);
        assert_eq!(read(&ticket, &reader), []);
        let embedded = embed(&ticket, &request(TEXT)).unwrap();
        let found = read(&embedded.model, &reader);
        assert_eq!(found.len(), 1, "{density}");
        assert_eq!(found[0].code, embedded.code);
        assert_eq!((found[0].damaged, found[0].data_modules), (Some(0), 567));
        let mut moved = 0;
        for (name, mask) in &embedded.model.masks {
            assert_eq!(mask.kept(), ticket.masks[name].kept(), "{name}");
            moved += mask.kept() - mask.overlap(&ticket.masks[name]);
        }
        assert_eq!(moved, embedded.moved);
        assert_eq!(embedded.opened + embedded.closed, 567 - embedded.agreed);
        assert_eq!(embedded.model.arrays, ticket.arrays);
        assert_eq!(embed(&ticket, &request(TEXT)).unwrap().model, embedded.model);
    }
}

#[test]
fn the_cheapest_place_and_pattern_are_chosen() {
    let ticket = ticket(0.08, 5);
    let chosen = embed(&ticket, &request(TEXT)).unwrap().code;
    let layout = Layout::new(Format::default());
    // Of all kept positions of all layers a fifth is weak.
    let mut scores: Vec<f32> = (ticket.masks.iter())
        .flat_map(|(name, mask)| mask.positions().map(|position| ticket.scores[name][position]))
        .collect();
    scores.sort_by(f32::total_cmp);
    let least = scores[scores.len() / 5];
    let mut best = (usize::MAX, None);
    for carrier in ticket.carriers().iter().filter(|c| c.shape.out >= 29 && c.shape.inp >= 29) {
        let (rows, columns) = (carrier.shape.out as usize, carrier.shape.inp as usize);
        let (mask, scores) = (&ticket.masks[&carrier.name], &ticket.scores[&carrier.name]);
        let kernels: Vec<[bool; 2]> = (0..rows * columns)
            .map(|kernel| {
                let kept = || (kernel * 9..kernel * 9 + 9).filter(|&position| mask.keeps(position));
                [kept().next().is_some(), kept().any(|position| scores[position] >= least)]
            })
            .collect();
        for (row, column) in (0..rows - 28).flat_map(|row| (0..columns - 28).map(move |column| (row, column))) {
            for pattern in 0..8 {
                let code = layout.encode(TEXT, pattern);
                let cost = layout.stream.iter().map(|&(r, c)| {
                    let [kept, strong] = kernels[(row + r) * columns + column + c];
                    let is_dark = code[r] >> c & 1 == 1;
                    if is_dark { 3 * usize::from(!strong) } else { usize::from(kept) }
                });
                let cost = cost.sum();
                if cost < best.0 {
                    best = (cost, Some((Place { carrier: carrier.name.clone(), row, column }, pattern)));
                }
            }
        }
    }
    assert_eq!(Some((chosen.place, chosen.mask_pattern)), best.1);
}

#[test]
fn every_format_is_read_with_as_many_damaged_codewords_as_it_can_correct_and_no_more() {
    for format in Format::all() {
        let layout = Layout::new(format);
        let text: String = TEXT.chars().cycle().take(format.capacity()).collect();
        let code = layout.encode(&text, 6);
        let first = format.first_block();
        let damaged = |count: usize| {
            let mut rows = code.clone();
            for &(row, column) in
                first[..count].iter().flat_map(|&codeword| &layout.stream[8 * codeword..8 * codeword + 8])
            {
                rows[row] ^= 1 << column;
            }
            let (carrier, mask) = bare(&rows);
            Reader::new([format]).read(&carrier, &mask)
        };
        let most = format.correctable();
        let found = damaged(most);
        assert_eq!(found.len(), 1, "{format}");
        assert_eq!((found[0].code.text.as_str(), found[0].damaged), (text.as_str(), Some(8 * most)), "{format}");
        assert!(damaged(most + 1).iter().all(|found| found.code.text != text), "{format}");
    }
}

#[test]
fn function_patterns_are_filled_in() {
    let layout = Layout::new(Format::default());
    let code = layout.encode(TEXT, 2);
    // Whatever is where the function patterns would be.
    for filler in [0, u64::MAX] {
        let rows: Rows = code.iter().zip(&layout.is_data).map(|(code, data)| code & data | filler & !data).collect();
        let (carrier, mask) = bare(&rows);
        let found = Reader::new([Format::default()]).read(&carrier, &mask);
        assert_eq!(found.len(), 1);
        let picture: Rows = (0..29)
            .map(|row| (0..29).fold(0, |word, c| word | u64::from(found[0].picture.is_dark(row, c)) << c))
            .collect();
        assert_eq!(picture, code);
    }
}

#[test]
fn texts_of_control_characters_are_written_out() {
    let layout = Layout::new(Format::default());
    let (carrier, mask) = bare(&layout.encode("a\u{1b}[2J\n\"", 0));
    let found = Reader::new([Format::default()]).read(&carrier, &mask);
    assert_eq!(found[0].code.text, "a\\x1b[2J\\n\\\"");
}

#[test]
fn what_cannot_be_laid_over_is_refused() {
    let refusal = |ticket: &Model, request: Request| embed(ticket, &request).map(|_| ()).unwrap_err().to_string();
    let usual = ticket(0.05, 1);
    assert_eq!(refusal(&usual, request("")), "the text of the code is empty");
    assert_eq!(
        refusal(&usual, request("Müller")),
        "the text of the code has '\\u{fc}' in it, expected printable ASCII"
    );
    let long = "the text of the code has 25 bytes, expected at most 24, as version 3, level H holds";
    assert_eq!(refusal(&usual, request("1234567890123456789012345")), long);
    let large = Request { format: Format { version: Version::new(10).unwrap(), level: Level::H }, ..request(TEXT) };
    embed(&usual, &large).unwrap();
    let small = Request { whereabouts: Whereabouts::Carrier("layer1.0.conv1.weight"), ..request(TEXT) };
    let message = "a code of version 3, level H takes 29 x 29 kernels, and the layer with most room, \
                   'layer1.0.conv1.weight', has 16 x 16";
    assert_eq!(refusal(&usual, small), message);
    let missing = Request { whereabouts: Whereabouts::Carrier("layer9.weight"), ..request(TEXT) };
    assert_eq!(refusal(&usual, missing), "the ticket has no pruned layer 'layer9.weight'");
    let at = |row| Place { carrier: "layer3.1.conv1.weight".to_owned(), row, column: 3 };
    let place = at(35);
    let edge = Request { whereabouts: Whereabouts::At(&place), ..request(TEXT) };
    assert_eq!(embed(&usual, &edge).unwrap().code.place, place);
    let place = at(36);
    let over = Request { whereabouts: Whereabouts::At(&place), ..request(TEXT) };
    let message = "a code at row 36, column 3 would go over the edge of layer 'layer3.1.conv1.weight'";
    assert_eq!(refusal(&usual, over), message);
    let as_kind = |kind| {
        let mut model = usual.clone();
        model.description.kind = kind;
        model
    };
    let message = "the ticket is stamped, and its claim is about the masks that it has, expected one without a mark";
    assert_eq!(refusal(&as_kind(Kind::Stamped), request(TEXT)), message);
    assert_eq!(refusal(&as_kind(Kind::Locked), request(TEXT)), "the ticket is locked, expected a whole one");
    let dense = Model { masks: Default::default(), ..usual.clone() };
    assert!(refusal(&dense, request(TEXT)).starts_with("the ticket has no mask"));
    // 8 weights kept: fewer than there are dark modules.
    let mut empty = usual;
    for mask in empty.masks.values_mut() {
        *mask = Mask::from_fn(mask.size(), |p| p < 8);
    }
    let message = refusal(&empty, request(TEXT));
    let (head, tail) = message.split_once(" keeps 8, expected ").unwrap();
    assert_eq!(
        head,
        "a code of version 3, level H needs a layer that can keep as many weights under it as before, and none of the 11 layers \
         with room for the code can: the closest, 'layer2.0.conv2.weight',"
    );
    let (least, most) = tail.split_once(" to ").unwrap();
    let [least, most] = [least, most].map(|text| text.parse::<usize>().unwrap());
    assert!((200..350).contains(&least) && (32 * 32 * 9 - 350 * 9..32 * 32 * 9).contains(&most), "{message}");
    let one = Request { whereabouts: Whereabouts::Carrier("layer3.1.conv1.weight"), ..request(TEXT) };
    assert!(refusal(&empty, one).contains("before, and layer 'layer3.1.conv1.weight' keeps 8, expected"));
    let coded = embed(&ticket(0.05, 1), &request(TEXT)).unwrap();
    let message = format!(
        "the ticket has a code already, '{TEXT}' in layer '{}', which another could damage, expected none",
        coded.code.place.carrier
    );
    assert_eq!(refusal(&coded.model, request("other")), message);
}

#[test]
fn a_code_goes_where_it_costs_more_if_the_cheapest_layers_keep_too_little() {
    let mut ticket = ticket(0.05, 1);
    let rich = "layer3.2.conv2.weight";
    for (name, mask) in &mut ticket.masks {
        let is_large = ticket.arrays[name].shape()[..2].iter().all(|&channels| channels >= 29);
        // All kernels of the rich layer keep one weak position, the other layers with room next to nothing.
        *mask = Mask::from_fn(mask.size(), |p| if name == rich { p % 9 == 0 } else { !is_large || p < 8 });
        if name == rich {
            ticket.scores.get_mut(name).unwrap().fill(0.0);
        }
    }
    let embedded = embed(&ticket, &request(TEXT)).unwrap();
    assert_eq!(embedded.code.place.carrier, rich);
    assert_eq!(read(&embedded.model, &Reader::new([Format::default()])).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_text_survives_as_many_damaged_modules_as_a_block_corrects_codewords(
        text in "[ -~]{1,24}",
        seed in any::<u64>(),
        damage in prop::collection::btree_set(0usize..567, 0..=11),
    ) {
        // Eleven damaged modules are eleven damaged codewords at most, and each block of version 3, level H corrects 11.
        let request = Request { seed, ..request(&text) };
        let mut model = embed(&ticket(0.05, seed), &request).unwrap().model;
        let reader = Reader::new([Format::default()]);
        let place = read(&model, &reader).remove(0).code.place;
        let layout = Layout::new(Format::default());
        let columns = model.arrays[&place.carrier].shape()[1];
        let mask = model.masks.get_mut(&place.carrier).unwrap();
        for &module in &damage {
            let (row, column) = layout.stream[module];
            let kernel = (place.row + row) * columns + place.column + column;
            let was_dark = (kernel * 9..kernel * 9 + 9).any(|position| mask.keeps(position));
            (kernel * 9..kernel * 9 + 9).for_each(|position| mask.set(position, !was_dark));
        }
        let found = read(&model, &reader);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(found[0].damaged, Some(damage.len()));
        prop_assert_eq!(&found[0].code.text, &text);
        prop_assert_eq!(&found[0].code.place, &place);
    }

    #[test]
    fn hostile_carriers_are_read_without_panic(
        rows in prop::collection::vec(any::<u64>(), 57),
        text in prop::collection::vec(any::<u8>(), 0..9),
        version in 1u8..=10, level in 0usize..4, pattern in 0u8..8,
    ) {
        // Codewords that are in order say anything; what is around them is noise.
        let format = Format { version: Version::new(version).unwrap(), level: Level::ALL[level] };
        let layout = Layout::new(format);
        let mut code = layout.encode("0", pattern);
        let (carrier, mask) = bare(&rows);
        Reader::new(Format::all()).read(&carrier, &mask);
        // Error correction is linear: the sum of codes is a code, with a mode and a length that no encoder wrote.
        let other = layout.encode(&String::from_utf8_lossy(&text).chars().take(2).collect::<String>(), pattern);
        for &(row, column) in &layout.stream {
            let inverted = u64::from(inverts(pattern, (row, column)));
            code[row] ^= ((other[row] >> column & 1) ^ inverted) << column;
        }
        let (carrier, mask) = bare(&code);
        Reader::new([format]).read(&carrier, &mask);
    }
}

#[test]
fn history_says_which_kernels_are_held() {
    let embedded = embed(&ticket(0.05, 1), &request(TEXT)).unwrap();
    let held = held(&embedded.model);
    let mask = &held[&embedded.code.place.carrier];
    assert_eq!((held.len(), mask.kept()), (1, 567 * 9));
    let mut elsewhere = embedded.model.clone();
    elsewhere.description.history[0]["row"] = 1000.into();
    assert!(super::held(&elsewhere).is_empty());
    elsewhere.description.history[0] = serde_json::json!({ "command": "qr embed", "row": -1 });
    assert!(super::held(&elsewhere).is_empty());
}

#[test]
fn stamps_leave_a_code_as_it_is_and_reach_their_target() {
    let key = counterfoil_claim::OwnerKey::from_seed(&[7; 32]);
    let embedded = embed(&ticket(0.05, 1), &request(&short_id(&key.public()))).unwrap();
    let request = crate::StampRequest { swaps: crate::SwapSettings::default(), keyed: None, provenance: None };
    let prepared = crate::prepare(&embedded.model, &key, request).unwrap();
    assert!(prepared.plan().panels.iter().all(|panel| panel.strength_after.bits() <= -160.0));
    let stamped = prepared.finish("2026-01-01T00:00:00Z", "t").unwrap();
    assert_ne!(stamped.model.masks, embedded.model.masks);
    let found = read(&stamped.model, &Reader::new([Format::default()]));
    assert_eq!((found.len(), found[0].damaged), (1, Some(0)));
    assert_eq!(found[0].code.text, short_id(&key.public()));
}

#[test]
fn masks_that_others_rely_on_are_left_alone() {
    let mut whole = ticket(0.1, 1);
    whole.description.kind = Kind::Locked;
    assert_eq!(embed(&whole, &request(TEXT)).unwrap_err(), EmbedError::Locked);
    whole.description.kind = Kind::Ticket;
    let pattern = Pattern::new(2, 4).unwrap();
    whole.description.pattern = Some(pattern);
    let error = embed(&whole, &request(TEXT)).unwrap_err();
    assert_eq!(error, EmbedError::Pattern { pattern });
    let message = "the ticket keeps 2 of every 4 inputs, which a code would break, expected one without such a pattern";
    assert_eq!(error.to_string(), message);
    whole.description.pattern = None;
    assert_eq!(embed(&whole, &request(TEXT)).unwrap().code.text, TEXT);
}
