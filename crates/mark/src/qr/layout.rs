//! Which module of a code is what: function patterns and the order of the data.

use fast_qr::{ECL, Mask, Mode, ModuleType, QRBuilder, QRCode};

use super::format::{Format, Level};

/// Number of mask patterns.
pub(super) const PATTERNS: u8 = 8;

/// Modules, a word a row: column c is bit c, 1 is dark.
pub(super) type Rows = Vec<u64>;

/// A module by row and column.
pub(super) type Module = (usize, usize);

/// The layout of all codes of a format.
pub(super) struct Layout {
    pub(super) format: Format,
    /// Set where modules hold data; what is left are the function patterns.
    pub(super) is_data: Rows,
    /// Data modules in the order of the bits of the stream of codewords.
    pub(super) stream: Vec<Module>,
    /// For each mask pattern the function patterns; data modules are light.
    function: [Rows; PATTERNS as usize],
}

impl Layout {
    pub(super) fn new(format: Format) -> Self {
        // Function patterns are the same whatever the text.
        let codes: [QRCode; PATTERNS as usize] = std::array::from_fn(|pattern| build(format, "0", pattern as u8));
        let rows = |code: &QRCode, is: &dyn Fn(fast_qr::Module) -> bool| -> Rows {
            let row = |r: usize| (0..code.size).fold(0, |row, c| row | u64::from(is(code[r][c])) << c);
            (0..code.size).map(row).collect()
        };
        let is_data: Rows = rows(&codes[0], &|module| module.module_type() == ModuleType::Data);
        let function = codes.each_ref().map(|code| rows(code, &|m| m.value() && m.module_type() != ModuleType::Data));
        let stream = stream(&is_data);
        Self { format, is_data, stream, function }
    }

    pub(super) fn side(&self) -> usize {
        self.is_data.len()
    }

    /// All modules of the code of a text, which must fit.
    pub(super) fn encode(&self, text: &str, pattern: u8) -> Rows {
        let code = build(self.format, text, pattern);
        (0..code.size).map(|r| (0..code.size).fold(0, |row, c| row | u64::from(code[r][c].value()) << c)).collect()
    }

    /// Data modules as they were found, function patterns as they are in codes with this mask pattern.
    pub(super) fn fill_in(&self, found: &[u64], pattern: u8) -> Rows {
        let function = &self.function[usize::from(pattern)];
        found.iter().zip(&self.is_data).zip(function).map(|((found, data), function)| found & data | function).collect()
    }

    /// Number of data modules that differ.
    pub(super) fn distance(&self, one: &[u64], other: &[u64]) -> usize {
        let rows = one.iter().zip(other).zip(&self.is_data);
        rows.map(|((one, other), data)| ((one ^ other) & data).count_ones() as usize).sum()
    }
}

/// Whether a mask pattern inverts a data module (ISO/IEC 18004, table 10).
pub(super) fn inverts(pattern: u8, (row, column): Module) -> bool {
    let product = row * column;
    match pattern {
        0 => (row + column).is_multiple_of(2),
        1 => row.is_multiple_of(2),
        2 => column.is_multiple_of(3),
        3 => (row + column).is_multiple_of(3),
        4 => (row / 2 + column / 3).is_multiple_of(2),
        5 => product % 2 + product % 3 == 0,
        6 => (product % 2 + product % 3).is_multiple_of(2),
        _ => ((row + column) % 2 + product % 3).is_multiple_of(2),
    }
}

fn build(format: Format, text: &str, pattern: u8) -> QRCode {
    let version = {
        use fast_qr::Version as V;
        let all = [V::V01, V::V02, V::V03, V::V04, V::V05, V::V06, V::V07, V::V08, V::V09, V::V10];
        all[usize::from(format.version.get()) - 1]
    };
    let level = match format.level {
        Level::L => ECL::L,
        Level::M => ECL::M,
        Level::Q => ECL::Q,
        Level::H => ECL::H,
    };
    let mask = [
        Mask::Checkerboard,
        Mask::HorizontalLines,
        Mask::VerticalLines,
        Mask::DiagonalLines,
        Mask::LargeCheckerboard,
        Mask::Fields,
        Mask::Diamonds,
        Mask::Meadow,
    ][usize::from(pattern)];
    let mut builder = QRBuilder::new(text);
    builder.version(version).ecl(level).mask(mask).mode(Mode::Byte);
    builder.build().expect("texts are measured against the capacity before")
}

/// Pairs of columns from right to left, upwards and downwards in turn, around the timing pattern in column 6.
fn stream(is_data: &[u64]) -> Vec<Module> {
    let side = is_data.len();
    let pairs = (7..side).rev().step_by(2).chain((1..6).rev().step_by(2));
    let mut stream = Vec::new();
    for (i, right) in pairs.enumerate() {
        for step in 0..side {
            let row = if i % 2 == 0 { side - 1 - step } else { step };
            let modules = [(row, right), (row, right - 1)];
            stream.extend(modules.into_iter().filter(|&(row, column)| is_data[row] >> column & 1 == 1));
        }
    }
    stream
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qr::Version;

    #[test]
    fn version_3_has_567_data_modules() {
        // ISO/IEC 18004, table 1: 70 codewords and 7 remainder bits.
        assert_eq!(Layout::new(Format::default()).stream.len(), 70 * 8 + 7);
    }

    #[test]
    fn streams_have_the_lengths_of_the_standard() {
        let length = |version| Layout::new(Format { version, level: Level::H }).stream.len();
        let lengths: Vec<usize> = Version::all().map(length).collect();
        assert_eq!(lengths, [208, 359, 567, 807, 1079, 1383, 1568, 1936, 2336, 2768]);
    }

    #[test]
    fn mask_patterns_are_those_of_the_encoder() {
        let layout = Layout::new(Format::default());
        let codes: Vec<Rows> = (0..PATTERNS).map(|pattern| layout.encode("counterfoil", pattern)).collect();
        let plain = |pattern: u8, m: Module| (codes[usize::from(pattern)][m.0] >> m.1 & 1 == 1) ^ inverts(pattern, m);
        for pattern in 1..PATTERNS {
            assert!(layout.stream.iter().all(|&m| plain(pattern, m) == plain(0, m)), "{pattern}");
        }
        // The first bits say "bytes", and how many: 0100, 00001011.
        let first: Vec<u8> = layout.stream.iter().step_by(1).map(|&m| u8::from(plain(3, m))).collect();
        let stream: Vec<u8> = first.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect();
        // Two blocks take turns: the first codewords of both, then the second ones.
        assert_eq!([stream[0], stream[2] >> 4], [0b0100_0000, 0b1011]);
    }
}
