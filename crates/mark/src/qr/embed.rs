//! Laying a code over a ticket: where it costs least, and what the ticket becomes there. docs/paper-schemes.md, "QR codes",
//! "Place" to "Order".

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use counterfoil_ticket::{Carrier, Kind, Mask, Model, Pattern};
use rayon::prelude::*;
use serde_json::json;

use super::connectivity::Connectivity;
use super::format::Format;
use super::layout::{Layout, PATTERNS, Rows};
use super::modules::{Work, roles};
use super::{Code, Place};
use crate::candidate::ordered;
use crate::masks_of;
use crate::stream::{KeyStream, derive};

/// What to lay over a ticket.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// What the code says: printable ASCII.
    pub text: &'a str,
    /// Its version and level.
    pub format: Format,
    /// Where it may go.
    pub whereabouts: Whereabouts<'a>,
    /// Decides between positions that matter as much as each other.
    pub seed: u64,
}

/// Where a code may go.
#[derive(Debug, Clone, Copy)]
pub enum Whereabouts<'a> {
    /// Where it fits best.
    Anywhere,
    /// Where it fits best in this carrier.
    Carrier(&'a str),
    /// Here.
    At(&'a Place),
}

impl Whereabouts<'_> {
    fn carrier(&self) -> Option<&str> {
        match self {
            Self::Anywhere => None,
            Self::Carrier(name) => Some(name),
            Self::At(place) => Some(&place.carrier),
        }
    }

    /// The rows and columns that there are, or the one of each.
    fn among(&self, (rows, columns): (usize, usize)) -> Option<(Range<usize>, Range<usize>)> {
        match self {
            Self::At(place) if place.row >= rows || place.column >= columns => None,
            Self::At(place) => Some((place.row..place.row + 1, place.column..place.column + 1)),
            _ => Some((0..rows, 0..columns)),
        }
    }
}

/// Why no code was laid over a ticket.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum EmbedError {
    /// Nothing to say.
    #[error("the text of the code is empty")]
    Empty,
    /// Decoders do not agree on what other bytes mean.
    #[error("the text of the code has '{}' in it, expected printable ASCII", found.escape_default())]
    Character {
        /// The first that is not.
        found: char,
    },
    /// Too much to say.
    #[error("the text of the code has {found} bytes, expected at most {}, as {format} holds", format.capacity())]
    TooLong {
        /// Its length.
        found: usize,
        /// What it was to be encoded as.
        format: Format,
    },
    /// No tensor of the file has a mask.
    #[error("the ticket has no mask, expected '_mask' tensors or weights of which at least a tenth are zero")]
    NoMask,
    /// Its claim names the masks as they are.
    #[error("the ticket is stamped, and its claim is about the masks that it has, expected one without a mark")]
    Stamped,
    /// Its key mask opens the masks that it has.
    #[error("the ticket is locked, expected a whole one")]
    Locked,
    /// Light modules prune whole kernels, and dark ones take up to three positions: the pattern would not be left.
    #[error("the ticket keeps {} of every {} inputs, which a code would break, expected one without such a pattern", pattern.kept(), pattern.of())]
    Pattern {
        /// What the masks keep to.
        pattern: Pattern,
    },
    /// There is no such carrier, or it has no mask.
    #[error("the ticket has no pruned layer '{carrier}'")]
    NoCarrier {
        /// The one asked for.
        carrier: String,
    },
    /// All layers are smaller than the code.
    #[error(
        "a code of {format} takes {side} x {side} kernels, and the layer with most room, '{largest}', has {rows} x {columns}",
        side = format.version.side()
    )]
    NoRoom {
        /// What was asked for.
        format: Format,
        /// The carrier whose smaller number of channels is largest.
        largest: String,
        /// Its output channels.
        rows: u32,
        /// Its input channels.
        columns: u32,
    },
    /// The code would go over the carrier's edge.
    #[error("a code at row {}, column {} would go over the edge of layer '{}'", place.row, place.column, place.carrier)]
    Outside {
        /// Where it should be.
        place: Place,
    },
    /// No carrier that the code has room in keeps neither too little nor too much for its number of kept weights to stay.
    #[error("{}", balance(*.format, *.layers, .carrier, *.found, *.least, *.most))]
    Balance {
        /// What was asked for.
        format: Format,
        /// How many carriers the code has room in; `None` if the request names one.
        layers: Option<usize>,
        /// The one of them that comes closest.
        carrier: String,
        /// What it keeps.
        found: usize,
        /// What it keeps under a code at least.
        least: usize,
        /// What it keeps under one at most.
        most: usize,
    },
    /// The history names a code.
    #[error("the ticket has a code already, '{text}' in layer '{carrier}', which another could damage, expected none")]
    Coded {
        /// What it says.
        text: String,
        /// Where it is.
        carrier: String,
    },
}

fn balance(format: Format, layers: Option<usize>, carrier: &str, found: usize, least: usize, most: usize) -> String {
    let which = match layers {
        None => format!("layer '{carrier}'"),
        Some(1) => format!("the only layer with room for the code, '{carrier}',"),
        Some(layers) => format!("none of the {layers} layers with room for the code can: the closest, '{carrier}',"),
    };
    format!(
        "a code of {format} needs a layer that can keep as many weights under it as before, and {which} keeps {found}, \
         expected {least} to {most}"
    )
}

/// A ticket with a code, and what that took.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// The ticket; each of its carriers keeps as many positions as before.
    pub model: Model,
    /// What it says and where it is, with the mask pattern that fits best there.
    pub code: Code,
    /// Number of modules that hold data.
    pub data_modules: usize,
    /// Those whose kernel was already as it should be.
    pub agreed: usize,
    /// Kernels that keep a position and kept none.
    pub opened: usize,
    /// Kernels that kept positions and keep none.
    pub closed: usize,
    /// Positions that were kept and are not; as many are kept that were not.
    pub moved: usize,
    /// Positions that the ticket keeps in all its carriers.
    pub kept: usize,
}

/// Row, column and mask pattern.
type Spot = (usize, usize, u8);

/// What a code costs there; of several such spots the earliest is best.
type Fit = (usize, Spot);

/// The share of a ticket's kept positions that pruning takes first: a dark module that has no other is *weak*.
const WEAK_SHARE: f64 = 0.2;

/// A weak dark module costs as much as so many light ones that have to be closed. Where kernels are few, most of a code's dark
/// modules would be opened with a position that was not worth keeping, and a little pruning takes it again.
const WEAK_COST: usize = 3;

/// What a weak dark module keeps at least: if one of them goes, the module stays.
const WEAK_KEPT: usize = 3;

/// Lays a code over the ticket where it costs least: few dark modules that pruning would take soon, then few kernels to close.
///
/// # Errors
///
/// The text does not fit, no carrier is large enough, the ticket is stamped, locked, of an N:M pattern or without a
/// mask or has a code already, or no carrier can keep as many positions as before.
pub fn embed(ticket: &Model, request: &Request<'_>) -> Result<Embedded, EmbedError> {
    let Request { text, format, .. } = *request;
    check_text(text, format)?;
    match ticket.description.kind {
        Kind::Stamped => return Err(EmbedError::Stamped),
        Kind::Locked => return Err(EmbedError::Locked),
        Kind::Ticket | Kind::Model => {}
    }
    if let Some(pattern) = ticket.description.pattern {
        return Err(EmbedError::Pattern { pattern });
    }
    if let Some(Code { text, place, .. }) = codes(ticket).next() {
        return Err(EmbedError::Coded { text, carrier: place.carrier });
    }
    let masks = masks_of(ticket);
    let carriers = candidates(ticket, &masks, request)?;
    let layout = Layout::new(format);
    let drawn: Vec<Rows> = (0..PATTERNS).map(|pattern| layout.encode(text, pattern)).collect();
    let strong = strong_positions(ticket, &masks);
    let lasting: Vec<Vec<(u8, &Rows)>> =
        carriers.iter().map(|c| lasting(c, &masks[&c.name], &layout, &drawn)).collect();
    if lasting.iter().all(Vec::is_empty) {
        let layers = matches!(request.whereabouts, Whereabouts::Anywhere).then_some(carriers.len());
        return Err(unbalanced(&carriers, &masks, &layout, &drawn, (format, layers)));
    }
    let fits = carriers.iter().zip(&lasting).enumerate().filter_map(|(i, (carrier, codes))| {
        let kernels = Kernels {
            kept: Connectivity::of(carrier, &masks[&carrier.name]),
            strong: Connectivity::of(carrier, &strong[&carrier.name]),
        };
        let (cost, spot) = best_fit(&kernels, &layout, codes, request.whereabouts)?;
        Some((cost, i, spot))
    });
    let Some((_, i, (row, column, pattern))) = fits.min() else {
        let Whereabouts::At(place) = request.whereabouts else { unreachable!("candidates have room for the code") };
        return Err(EmbedError::Outside { place: place.clone() });
    };

    let carrier = &carriers[i];
    let place = Place { carrier: carrier.name.clone(), row, column };
    let before = &masks[&carrier.name];
    let ranks = ranks(ticket, carrier, request.seed);
    let roles = roles(carrier, &layout, &drawn[usize::from(pattern)], &place);
    let work = |weak_kept| {
        let mut work = Work::new(carrier, [before, &strong[&carrier.name]], &ranks, roles.clone(), weak_kept);
        work.set_modules();
        work.balance().map(|()| work)
    };
    // Where the layer keeps too little for three, fewer must do.
    let done = work(WEAK_KEPT).or_else(|| work(2)).or_else(|| work(1));
    let Work { mask, opened, closed, .. } = done.expect("one for each dark module does: see `range`");
    let agreed = layout.stream.len() - opened - closed;
    let moved = before.kept() - before.overlap(&mask);
    let mut model = ticket.clone();
    model.masks = masks;
    model.masks.insert(carrier.name.clone(), mask);
    let kept = model.masks.values().map(Mask::kept).sum();
    let code = Code { text: text.to_owned(), place, format, mask_pattern: pattern };
    let mut entry = json!(code);
    entry["command"] = json!(COMMAND);
    entry["seed"] = json!(request.seed);
    entry["version"] = json!(env!("CARGO_PKG_VERSION"));
    model.description.kind = Kind::Ticket;
    model.description.history.push(entry);
    let data_modules = layout.stream.len();
    Ok(Embedded { model, code, data_modules, agreed, opened, closed, moved, kept })
}

fn check_text(text: &str, format: Format) -> Result<(), EmbedError> {
    if text.is_empty() {
        return Err(EmbedError::Empty);
    }
    if let Some(found) = text.chars().find(|c| !c.is_ascii_graphic() && *c != ' ') {
        return Err(EmbedError::Character { found });
    }
    if text.len() > format.capacity() {
        return Err(EmbedError::TooLong { found: text.len(), format });
    }
    Ok(())
}

/// The carriers that the code has room in.
fn candidates(
    ticket: &Model,
    masks: &BTreeMap<String, Mask>,
    request: &Request<'_>,
) -> Result<Vec<Carrier>, EmbedError> {
    let mut carriers: Vec<Carrier> = ticket.carriers().into_iter().filter(|c| masks.contains_key(&c.name)).collect();
    if carriers.is_empty() {
        return Err(EmbedError::NoMask);
    }
    if let Some(name) = request.whereabouts.carrier() {
        carriers.retain(|carrier| carrier.name == name);
    }
    let smaller = |carrier: &Carrier| carrier.shape.out.min(carrier.shape.inp);
    let Some(largest) = carriers.iter().max_by_key(|carrier| smaller(carrier)).cloned() else {
        return Err(EmbedError::NoCarrier { carrier: request.whereabouts.carrier().unwrap_or_default().to_owned() });
    };
    carriers.retain(|carrier| smaller(carrier) as usize >= request.format.version.side());
    if carriers.is_empty() {
        let (rows, columns) = (largest.shape.out, largest.shape.inp);
        return Err(EmbedError::NoRoom { format: request.format, largest: largest.name, rows, columns });
    }
    Ok(carriers)
}

/// How many positions a carrier can keep under a code, wherever in it that is: one for each dark module, to all but those of
/// light ones.
fn range(carrier: &Carrier, layout: &Layout, code: &Rows) -> RangeInclusive<usize> {
    let dark: usize = code.iter().zip(&layout.is_data).map(|(code, data)| (code & data).count_ones() as usize).sum();
    let light = layout.stream.len() - dark;
    dark..=carrier.shape.size() - light * carrier.shape.taps()
}

/// The codes, by mask pattern, under which a carrier can keep as many positions as it does.
fn lasting<'a>(carrier: &Carrier, mask: &Mask, layout: &Layout, codes: &'a [Rows]) -> Vec<(u8, &'a Rows)> {
    let codes = (0..PATTERNS).zip(codes);
    codes.filter(|(_, code)| range(carrier, layout, code).contains(&mask.kept())).collect()
}

/// The error that names the carrier, of those that cannot keep as many positions as they do, that comes closest.
fn unbalanced(
    carriers: &[Carrier],
    masks: &BTreeMap<String, Mask>,
    layout: &Layout,
    codes: &[Rows],
    (format, layers): (Format, Option<usize>),
) -> EmbedError {
    let ranges = |carrier: &Carrier| codes.iter().map(|code| range(carrier, layout, code)).collect::<Vec<_>>();
    let all = carriers.iter().map(|carrier| {
        let (found, ranges) = (masks[&carrier.name].kept(), ranges(carrier));
        let least = ranges.iter().map(|range| *range.start()).min().unwrap_or(0);
        let most = ranges.iter().map(|range| *range.end()).max().unwrap_or(0);
        let lacking = least.saturating_sub(found).max(found.saturating_sub(most));
        (lacking, EmbedError::Balance { format, layers, carrier: carrier.name.clone(), found, least, most })
    });
    all.min_by_key(|(lacking, _)| *lacking).expect("there are candidates").1
}

/// The kernels of a carrier that keep a position, and those that keep a strong one.
struct Kernels {
    kept: Connectivity,
    strong: Connectivity,
}

fn best_fit(kernels: &Kernels, layout: &Layout, codes: &[(u8, &Rows)], whereabouts: Whereabouts<'_>) -> Option<Fit> {
    let (rows, columns) = whereabouts.among(kernels.kept.places(layout.side())?)?;
    let best_of_row = |row: usize| {
        let (mut kept, mut strong) = (Rows::new(), Rows::new());
        let spots = columns.clone().flat_map(|column| {
            kernels.kept.square(row, column, layout.side(), &mut kept);
            kernels.strong.square(row, column, layout.side(), &mut strong);
            let (kept, strong) = (&kept, &strong);
            let fits = codes
                .iter()
                .map(|&(pattern, code)| (cost(code, kept, strong, &layout.is_data), (row, column, pattern)));
            fits.min()
        });
        spots.min()
    };
    rows.into_par_iter().filter_map(best_of_row).min()
}

fn cost(code: &[u64], kept: &[u64], strong: &[u64], is_data: &[u64]) -> usize {
    let rows = code.iter().zip(kept).zip(strong).zip(is_data);
    let (weak, closed) = rows.fold((0, 0), |(weak, closed), (((code, kept), strong), data)| {
        (weak + (code & !strong & data).count_ones(), closed + (!code & kept & data).count_ones())
    });
    WEAK_COST * weak as usize + closed as usize
}

/// The kept positions that are left when [`WEAK_SHARE`] of all are pruned, by score if all carriers have scores, else by the
/// size of the weight.
fn strong_positions(ticket: &Model, masks: &BTreeMap<String, Mask>) -> BTreeMap<String, Mask> {
    let is_scored = masks.keys().all(|name| ticket.scores.contains_key(name));
    let rank = |name: &str, position: usize| match ticket.scores.get(name).filter(|_| is_scored) {
        Some(scores) => ordered(scores[position]),
        None => ordered(ticket.arrays[name].values()[position].abs()),
    };
    let mut ranks: Vec<u32> =
        masks.iter().flat_map(|(name, mask)| mask.positions().map(|position| rank(name, position))).collect();
    let weak = (ranks.len() as f64 * WEAK_SHARE) as usize;
    let least = if weak < ranks.len() { *ranks.select_nth_unstable(weak).1 } else { 0 };
    let strong = |(name, mask): (&String, &Mask)| {
        let mut strong = mask.clone();
        mask.positions().filter(|&p| rank(name, p) < least).for_each(|position| strong.set(position, false));
        (name.clone(), strong)
    };
    masks.iter().map(strong).collect()
}

/// How much each position of a carrier matters: by its score or else the size of its weight, then by the seed.
fn ranks(ticket: &Model, carrier: &Carrier, seed: u64) -> Vec<(u32, u32)> {
    let key = derive(&seed.to_be_bytes(), b"counterfoil qr", &[&carrier.id()]);
    let mut order = KeyStream::new(&key);
    let values: Vec<u32> = match ticket.scores.get(&carrier.name) {
        Some(scores) => scores.iter().map(|&score| ordered(score)).collect(),
        None => ticket.arrays[&carrier.name].values().iter().map(|weight| ordered(weight.abs())).collect(),
    };
    values.into_iter().map(|value| (value, order.word())).collect()
}

const COMMAND: &str = "qr embed";

/// The codes that a ticket's history names.
fn codes(ticket: &Model) -> impl Iterator<Item = Code> {
    let entries = ticket.description.history.iter();
    let laid = entries.filter(|entry| entry.get("command").and_then(|command| command.as_str()) == Some(COMMAND));
    laid.filter_map(|entry| serde_json::from_value(entry.clone()).ok())
}

/// The kernels of the codes that a ticket's history names: what a stamp leaves as it is, so that they can be read after it.
/// A code that is not named, or not at a place that there is, is not held.
pub fn held(ticket: &Model) -> BTreeMap<String, Mask> {
    let carriers: BTreeMap<String, Carrier> = ticket.carriers().into_iter().map(|c| (c.name.clone(), c)).collect();
    let mut held = BTreeMap::new();
    for Code { place, format, .. } in codes(ticket) {
        let Some(carrier) = carriers.get(&place.carrier) else { continue };
        let layout = Layout::new(format);
        let (rows, columns) = (carrier.shape.out as usize, carrier.shape.inp as usize);
        let room = super::connectivity::places(rows, columns, layout.side());
        if room.is_none_or(|(rows, columns)| place.row >= rows || place.column >= columns) {
            continue;
        }
        let mask = held.entry(place.carrier).or_insert_with(|| Mask::empty(carrier.shape.size()));
        let taps = carrier.shape.taps();
        for &(row, column) in &layout.stream {
            let kernel = (place.row + row) * columns + place.column + column;
            (kernel * taps..(kernel + 1) * taps).for_each(|position| mask.set(position, true));
        }
    }
    held
}
