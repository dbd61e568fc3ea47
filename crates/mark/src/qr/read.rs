//! Reading: every place of a carrier is tried.

use counterfoil_ticket::{Carrier, Mask};
use rayon::prelude::*;
use serde::Serialize;

use super::connectivity::Connectivity;
use super::format::Format;
use super::layout::{Layout, Module, PATTERNS, Rows, inverts};
use super::reed_solomon::{Block, Syndromes, add};
use super::{Code, Place};

/// A code that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What it says, and where.
    #[serde(flatten)]
    pub code: Code,
    /// Number of modules that hold data: those that are read at all.
    pub data_modules: usize,
    /// How many of them are not as the encoder would make them; `None` if it would not make this code at all, as with
    /// texts that are not bytes.
    pub damaged: Option<usize>,
    /// What was read, with the function patterns filled in.
    #[serde(skip)]
    pub picture: Picture,
}

/// The modules of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture(Rows);

impl Picture {
    /// Modules along a side.
    pub fn side(&self) -> usize {
        self.0.len()
    }

    /// Whether a module is dark. Panics outside of the code.
    pub fn is_dark(&self, row: usize, column: usize) -> bool {
        assert!(column < self.side(), "column {column} of {}", self.side());
        self.0[row] >> column & 1 == 1
    }
}

impl Code {
    /// How many of its data modules a carrier has otherwise; `None` if the carrier does not reach so far, or the text does not
    /// fit. Panics if the mask is not the carrier's.
    pub fn damaged(&self, carrier: &Carrier, mask: &Mask) -> Option<usize> {
        assert_eq!(mask.size(), carrier.shape.size(), "the mask of {}", carrier.name);
        if self.text.len() > self.format.capacity() || self.mask_pattern >= PATTERNS {
            return None;
        }
        let layout = Layout::new(self.format);
        let connectivity = Connectivity::of(carrier, mask);
        let (rows, columns) = connectivity.places(layout.side())?;
        if self.place.row >= rows || self.place.column >= columns {
            return None;
        }
        let mut square = Rows::new();
        connectivity.square(self.place.row, self.place.column, layout.side(), &mut square);
        Some(layout.distance(&layout.encode(&self.text, self.mask_pattern), &square))
    }
}

/// Reads codes of certain formats.
pub struct Reader(Vec<FormatReader>);

impl Reader {
    /// For these formats; each takes as long as another.
    pub fn new(formats: impl IntoIterator<Item = Format>) -> Self {
        Self(formats.into_iter().map(FormatReader::new).collect())
    }

    /// How many places of a carrier are looked at, over all formats.
    pub fn places(&self, carrier: &Carrier) -> u64 {
        let [out, inp] = [carrier.shape.out, carrier.shape.inp].map(|n| n as usize);
        let places = self.0.iter().filter_map(|reader| super::connectivity::places(out, inp, reader.layout.side()));
        places.map(|(rows, columns)| rows as u64 * columns as u64).sum()
    }

    /// Everything that can be read in a carrier, in order of format and place. Panics if the mask is not the carrier's.
    ///
    /// Whatever the carrier keeps there, a code is read only where error correction makes sense of all its blocks.
    pub fn read(&self, carrier: &Carrier, mask: &Mask) -> Vec<Found> {
        assert_eq!(mask.size(), carrier.shape.size(), "the mask of {}", carrier.name);
        let smallest = self.0.iter().map(|reader| reader.layout.side()).min();
        if smallest.is_none_or(|side| side > carrier.shape.out.min(carrier.shape.inp) as usize) {
            return Vec::new();
        }
        let connectivity = Connectivity::of(carrier, mask);
        self.0.iter().flat_map(|reader| reader.read(carrier, &connectivity)).collect()
    }
}

struct FormatReader {
    layout: Layout,
    block: Block,
    /// The modules of the first block's codewords.
    modules: Vec<[Module; 8]>,
    /// What the mask patterns add to its syndromes.
    patterns: Vec<Syndromes>,
}

impl FormatReader {
    fn new(format: Format) -> Self {
        let layout = Layout::new(format);
        let codeword = |i: usize| -> [Module; 8] { std::array::from_fn(|bit| layout.stream[8 * i + bit]) };
        let modules: Vec<[Module; 8]> = format.first_block().into_iter().map(codeword).collect();
        let block = Block::new(modules.len(), format.correction());
        let byte = |pattern: u8, modules: &[Module; 8]| {
            modules.iter().fold(0, |byte, &module| byte << 1 | u8::from(inverts(pattern, module)))
        };
        let patterns = (0..PATTERNS)
            .map(|pattern| block.syndromes(modules.iter().map(|modules| byte(pattern, modules))))
            .collect();
        Self { layout, block, modules, patterns }
    }

    fn read(&self, carrier: &Carrier, connectivity: &Connectivity) -> Vec<Found> {
        let Some((rows, columns)) = connectivity.places(self.layout.side()) else { return Vec::new() };
        let read_row = |row: usize| {
            let mut square = Rows::new();
            let mut found = Vec::new();
            for column in 0..columns {
                connectivity.square(row, column, self.layout.side(), &mut square);
                for pattern in self.promising(&square) {
                    let place = || Place { carrier: carrier.name.clone(), row, column };
                    found.extend(self.decode(&square, pattern, place));
                }
            }
            found
        };
        // In the order of rows, however many threads there are.
        (0..rows).into_par_iter().flat_map_iter(read_row).collect()
    }

    /// Mask patterns under which the first block is within reach of error correction.
    fn promising(&self, square: &[u64]) -> impl Iterator<Item = u8> {
        let byte = |modules: &[Module; 8]| {
            modules.iter().fold(0, |byte, &(row, column)| byte << 1 | (square[row] >> column & 1) as u8)
        };
        let syndromes = self.block.syndromes(self.modules.iter().map(byte));
        (0..PATTERNS).filter(move |&pattern| {
            let mut syndromes = syndromes;
            add(&mut syndromes, &self.patterns[usize::from(pattern)]);
            self.block.errors(&syndromes).is_some()
        })
    }

    fn decode(&self, square: &[u64], pattern: u8, place: impl FnOnce() -> Place) -> Option<Found> {
        let modules = self.layout.fill_in(square, pattern);
        let grid = rqrr::SimpleGrid::from_func(modules.len(), |x, y| modules[y] >> x & 1 == 1);
        let mut bytes = Vec::new();
        let read = rqrr::Grid::new(grid).decode_to(&mut bytes).ok()?;
        // It also tries the code's mirror image, whose format is another.
        let is_ours = u8::try_from(read.mask).is_ok_and(|mask| mask == pattern) && !bytes.is_empty();
        if !is_ours {
            return None;
        }
        let format = self.layout.format;
        let damaged =
            std::str::from_utf8(&bytes).ok().filter(|text| text.len() <= format.capacity()).and_then(|text| {
                let distance = self.layout.distance(&self.layout.encode(text, pattern), &modules);
                let most = format.blocks() * format.correctable() * 8;
                // Remainder bits are not corrected: there are up to 7.
                (distance <= most + 7).then_some(distance)
            });
        let code = Code { text: shown(&bytes), place: place(), format, mask_pattern: pattern };
        Some(Found { code, data_modules: self.layout.stream.len(), damaged, picture: Picture(modules) })
    }
}

/// Texts from models that nobody has vouched for.
fn shown(bytes: &[u8]) -> String {
    let is_plain = bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    if is_plain { String::from_utf8_lossy(bytes).into_owned() } else { bytes.escape_ascii().to_string() }
}
