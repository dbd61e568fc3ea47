//! Seeds: what every chip, image and label is drawn from.
//!
//! Implements "Seeds" of docs/protocol.md: the public panel's seed follows from the public key alone, the sealed panels'
//! from the owner's [`MasterSeed`]. HKDF-SHA-256 is RFC 5869 (crate `hkdf`). Seeds are wiped from memory when dropped
//! and have no `Debug`, so none ends up in a log.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Marked, Positions, PublicKey, merkle_root};

/// Salt of every derivation from the master seed or the public key.
const SALT: &[u8] = b"counterfoil/v1";

/// 32 bytes of HKDF-SHA-256(ikm, salt, info).
pub(crate) fn hkdf(ikm: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut okm = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), ikm).expand(info, &mut *okm).expect("32 bytes are within HKDF's limit of 8160");
    okm
}

/// Which panel of a mark: 0 is public, 1 to 4 are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PanelId(u8);

impl PanelId {
    /// The panel that anybody can derive from the public key.
    pub const PUBLIC: Self = Self(0);

    /// The panel of this number, `None` above [`PanelCount::MAX`].
    pub const fn new(number: u8) -> Option<Self> {
        if number <= PanelCount::MAX { Some(Self(number)) } else { None }
    }

    /// The sealed panel of this number, `None` unless it is from 1 to [`PanelCount::MAX`].
    pub const fn sealed(number: u8) -> Option<Self> {
        if number == 0 { None } else { Self::new(number) }
    }

    /// Its number, 0 to 4.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether it is panel 0.
    pub const fn is_public(self) -> bool {
        self.0 == 0
    }
}

impl std::fmt::Display for PanelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How many sealed panels a mark has: P, 1 to 4. The public panel comes on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PanelCount(u8);

impl PanelCount {
    /// Most sealed panels of a mark.
    pub const MAX: u8 = 4;

    /// The count, `None` unless it is from 1 to [`PanelCount::MAX`].
    pub const fn new(sealed: u8) -> Option<Self> {
        if sealed == 0 || sealed > Self::MAX { None } else { Some(Self(sealed)) }
    }

    /// The number of sealed panels.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether the mark has this panel; the public one it always has.
    pub const fn contains(self, panel: PanelId) -> bool {
        panel.0 <= self.0
    }

    /// The sealed panels in ascending order.
    pub fn sealed(self) -> impl Iterator<Item = PanelId> {
        (1..=self.0).map(PanelId)
    }

    /// The public panel, then the sealed ones.
    pub fn all(self) -> impl Iterator<Item = PanelId> {
        (0..=self.0).map(PanelId)
    }
}

/// One of how many positions is active: D of docs/protocol.md, "Chips".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dilution(u8);

impl Dilution {
    /// Every dilution there is, in ascending order.
    pub const ALL: [Self; 4] = [Self(1), Self(2), Self(4), Self(8)];

    /// The dilution, `None` unless it is 1, 2, 4 or 8.
    pub fn new(dilution: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.0 == dilution)
    }

    /// D.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// Seed of one panel.
#[derive(Clone)]
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// A seed that is already known: read from a disclosure, or made up for a test.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// `seed_0`, which follows from the public key alone.
    pub(crate) fn public(key: &[u8; 32]) -> Self {
        Self(hkdf(key, SALT, b"public panel"))
    }
}

/// The secret of one sealed panel, to which the Merkle root commits.
pub(crate) struct Opening(pub(crate) Zeroizing<[u8; 32]>);

impl Opening {
    /// The panel's seed. The root enters it, and thereby all panels do: whoever tries another secret for one of them gets
    /// other chips in all, so that panels cannot be tried one by one and the best of each be put together. What is marked
    /// enters it for the same reason.
    pub(crate) fn seed(&self, root: &[u8; 32], marked: &Marked) -> Seed {
        Seed(hkdf(&*self.0, root, &[b"counterfoil/v1 panel seed".as_slice(), marked.as_bytes()].concat()))
    }
}

/// What all sealed panels of one stamped ticket derive from; kept in the counterfoil.
#[derive(Clone)]
pub struct MasterSeed(Zeroizing<[u8; 32]>);

impl MasterSeed {
    /// A master seed that is already known.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Derives it from the private key's seed, so that the same key and context give the same bytes.
    pub(crate) fn derive(private: &[u8; 32], context: &[u8; 32]) -> Self {
        Self(hkdf(private, b"counterfoil/v1 master", context))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What a sealed panel's leaf commits to and its disclosure shows. Panics for the public panel.
    pub(crate) fn opening(&self, panel: PanelId) -> Opening {
        assert!(!panel.is_public(), "the public panel does not derive from the master seed");
        let info = [b"sealed panel".as_slice(), &[panel.get()]].concat();
        Opening(hkdf(self.as_bytes(), SALT, &info))
    }

    /// Seed of a sealed panel of a mark on these carriers. Panics for the public panel, which does not derive from the master
    /// seed: see [`PublicKey::public_seed`](crate::PublicKey::public_seed).
    pub fn panel(&self, panel: PanelId, marked: &Marked) -> Seed {
        self.opening(panel).seed(&merkle_root(self), marked)
    }

    /// Seeds of all panels of a mark on these carriers, the public one first; a licensee's mark has no position in that one.
    pub fn panels(&self, owner: &PublicKey, panels: PanelCount, marked: &Marked) -> Vec<(PanelId, Seed)> {
        let seeds = std::iter::once(owner.public_seed()).chain(self.sealed(panels, marked));
        panels.all().zip(seeds).collect()
    }

    /// Seeds of the sealed panels 1 to P, in order.
    pub fn sealed(&self, panels: PanelCount, marked: &Marked) -> Vec<Seed> {
        panels.sealed().map(|panel| self.panel(panel, marked)).collect()
    }

    /// Where the licensees' marks on top of this mark lie.
    pub fn licensees_positions(&self) -> Positions {
        Positions::from_bytes(*hkdf(self.as_bytes(), SALT, b"licensee positions"))
    }

    /// What the mark of this licensee's copy derives from.
    pub fn licensees_master(&self, name: &str) -> Self {
        Self(hkdf(self.as_bytes(), SALT, &[b"licensee copy".as_slice(), name.as_bytes()].concat()))
    }

    /// Key of the commitment to the reference mask (docs/protocol.md, "Reference mask").
    pub fn blinding(&self) -> Zeroizing<[u8; 32]> {
        hkdf(self.as_bytes(), SALT, b"reference mask")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hkdf_is_rfc_5869_test_case_1() {
        // The first 32 bytes of OKM, appendix A.1.
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let okm = hkdf(&[0x0b; 22], &salt, &info);
        assert_eq!(hex::encode(*okm), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    }

    #[test]
    fn panels_counts_and_dilutions_have_their_ranges() {
        assert_eq!(PanelId::new(0), Some(PanelId::PUBLIC));
        assert_eq!(PanelId::new(4).map(PanelId::get), Some(4));
        assert_eq!(PanelId::new(5), None);
        assert_eq!(PanelId::sealed(0), None);
        assert_eq!([0, 1, 4, 5].map(|n| PanelCount::new(n).map(PanelCount::get)), [None, Some(1), Some(4), None]);
        assert_eq!([0, 1, 2, 3, 4, 8, 16].map(|d| Dilution::new(d).is_some()), [0, 1, 1, 0, 1, 1, 0].map(|b| b == 1));
        let three = PanelCount::new(3).unwrap();
        assert_eq!(three.all().map(PanelId::get).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!([3, 4].map(|n| three.contains(PanelId::new(n).unwrap())), [true, false]);
    }

    #[test]
    #[should_panic(expected = "does not derive from the master seed")]
    fn the_public_panel_has_no_seed_under_the_master() {
        MasterSeed::from_bytes([0; 32]).panel(PanelId::PUBLIC, &Marked::from_bytes([0; 32]));
    }
}
