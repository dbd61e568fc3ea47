//! Versions, levels and how many bytes they hold (ISO/IEC 18004, tables 1, 7 and 9).

use serde::{Deserialize, Serialize};

/// The largest version: 57 by 57 modules, so that a row fits a machine word. At level H it holds 119 bytes.
pub const MAX_VERSION: u8 = 10;

/// Version of a QR code, 1 to [`MAX_VERSION`]: its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Version(u8);

impl Version {
    /// `None` for 0 and for more than [`MAX_VERSION`].
    pub fn new(version: u8) -> Option<Self> {
        (1..=MAX_VERSION).contains(&version).then_some(Self(version))
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=MAX_VERSION).map(Self)
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }

    /// Modules along a side.
    pub fn side(self) -> usize {
        4 * usize::from(self.0) + 17
    }

    /// Codewords, bytes of data and of error correction together.
    fn codewords(self) -> usize {
        [26, 44, 70, 100, 134, 172, 196, 242, 292, 346][usize::from(self.0) - 1]
    }
}

impl TryFrom<u8> for Version {
    type Error = String;

    fn try_from(version: u8) -> Result<Self, String> {
        Self::new(version).ok_or_else(|| format!("version {version}, expected 1 to {MAX_VERSION}"))
    }
}

impl From<Version> for u8 {
    fn from(version: Version) -> Self {
        version.0
    }
}

/// Level of error correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // ISO/IEC 18004 has no other names for them.
pub enum Level {
    L,
    M,
    Q,
    H,
}

impl Level {
    /// All of them, the weakest first.
    pub const ALL: [Self; 4] = [Self::L, Self::M, Self::Q, Self::H];
}

/// What a code is made with, but for its mask pattern: the one that fits best is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Format {
    /// Size.
    pub version: Version,
    /// Error correction.
    pub level: Level,
}

impl Default for Format {
    /// The paper's.
    fn default() -> Self {
        Self { version: Version(3), level: Level::H }
    }
}

impl Format {
    /// Every version and level that is read.
    pub fn all() -> impl Iterator<Item = Self> {
        Version::all().flat_map(|version| Level::ALL.into_iter().map(move |level| Self { version, level }))
    }

    /// Bytes of text it holds in byte mode.
    pub fn capacity(self) -> usize {
        // 4 bits say "bytes", 8 say how many (16 from version 10 on), and the rest of the last byte is lost.
        self.data_codewords() - if self.version.0 < 10 { 2 } else { 3 }
    }

    /// Damaged codewords that each block of error correction can bear.
    pub fn correctable(self) -> usize {
        self.correction() / 2
    }

    /// Blocks that the codewords are dealt out to.
    pub fn blocks(self) -> usize {
        let [l, m, q, h] = [
            [1, 1, 1, 1, 1, 2, 2, 2, 2, 4],
            [1, 1, 1, 2, 2, 4, 4, 4, 5, 5],
            [1, 1, 2, 2, 4, 4, 6, 6, 8, 8],
            [1, 1, 2, 4, 4, 4, 5, 6, 8, 8],
        ];
        self.entry([l, m, q, h])
    }

    /// Codewords of error correction in each block.
    pub(super) fn correction(self) -> usize {
        let l = [7, 10, 15, 20, 26, 18, 20, 24, 30, 18];
        let m = [10, 16, 26, 18, 24, 16, 18, 22, 22, 26];
        let q = [13, 22, 18, 26, 18, 24, 18, 22, 20, 24];
        let h = [17, 28, 22, 16, 22, 28, 26, 26, 24, 28];
        self.entry([l, m, q, h])
    }

    pub(super) fn data_codewords(self) -> usize {
        self.version.codewords() - self.blocks() * self.correction()
    }

    /// Places in the stream of codewords of those of the first block, which is never one of the longer ones.
    pub(super) fn first_block(self) -> Vec<usize> {
        let (blocks, data) = (self.blocks(), self.data_codewords());
        let data_part = (0..data / blocks).map(|i| i * blocks);
        data_part.chain((0..self.correction()).map(|i| data + i * blocks)).collect()
    }

    fn entry(self, table: [[usize; MAX_VERSION as usize]; 4]) -> usize {
        table[self.level as usize][usize::from(self.version.0) - 1]
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "version {}, level {:?}", self.version.0, self.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_are_those_of_the_standard() {
        let capacity = |version, level| Format { version: Version(version), level }.capacity();
        // ISO/IEC 18004, table 7, byte mode.
        assert_eq!(
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(|v| capacity(v, Level::H)),
            [7, 14, 24, 34, 44, 58, 64, 84, 98, 119]
        );
        assert_eq!([1, 3, 10].map(|v| capacity(v, Level::L)), [17, 53, 271]);
        assert_eq!([1, 3, 10].map(|v| capacity(v, Level::M)), [14, 42, 213]);
        assert_eq!([1, 3, 10].map(|v| capacity(v, Level::Q)), [11, 32, 151]);
    }

    #[test]
    fn versions_have_their_range() {
        assert_eq!([0, 11, 255].map(Version::new), [None; 3]);
        assert_eq!(Version::all().map(Version::side).collect::<Vec<_>>(), [21, 25, 29, 33, 37, 41, 45, 49, 53, 57]);
    }
}
