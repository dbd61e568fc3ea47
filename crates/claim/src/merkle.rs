//! Merkle root over the sealed panels: what lets one panel be disclosed without the others.
//!
//! Implements "Merkle root over the sealed panels" of docs/protocol.md with the hashing of RFC 6962, section 2.1. There are
//! always as many leaves as a claim may have sealed panels: their seeds depend on the root, and have to be there before
//! it is known how many of the panels will be used. Trees and audit paths are those of crate `ct-merkle`; the leaves, which hold seeds, are wiped when the tree is dropped.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{InclusionProof, RootHash};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::seed::Opening;
use crate::{MasterSeed, PanelCount, PanelId};

/// Number of leaves.
const LEAVES: PanelCount = PanelCount::new(PanelCount::MAX).expect("the most is allowed");

/// Leaf of one sealed panel: `"counterfoil/v1 panel" || u8(i) || opening_i`.
struct Leaf(Zeroizing<Vec<u8>>);

impl Leaf {
    fn new(panel: PanelId, opening: &Opening) -> Self {
        Self(Zeroizing::new([b"counterfoil/v1 panel".as_slice(), &[panel.get()], &*opening.0].concat()))
    }
}

impl AsRef<[u8]> for Leaf {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn tree(master: &MasterSeed) -> MemoryBackedTree<Sha256, Leaf> {
    let mut tree = MemoryBackedTree::new();
    for panel in LEAVES.sealed() {
        tree.push(Leaf::new(panel, &master.opening(panel)));
    }
    tree
}

/// Root over the openings of the sealed panels 1 to 4.
pub fn merkle_root(master: &MasterSeed) -> [u8; 32] {
    (*tree(master).root().as_bytes()).into()
}

/// Audit path of a sealed panel (RFC 6962, section 2.1.1), from the leaf upward.
pub(crate) fn audit_path(master: &MasterSeed, panel: PanelId) -> Vec<[u8; 32]> {
    let proof = tree(master).prove_inclusion(usize::from(panel.get()) - 1);
    let (hashes, rest) = proof.as_bytes().as_chunks();
    debug_assert!(rest.is_empty());
    hashes.to_vec()
}

/// Whether the root commits to this opening of this sealed panel, by this audit path.
pub(crate) fn is_under_root(root: &[u8; 32], panel: PanelId, opening: &Opening, path: &[[u8; 32]]) -> bool {
    let root = RootHash::<Sha256>::new((*root).into(), u64::from(LEAVES.get()));
    let proof = InclusionProof::from_digests(path.iter().map(<&_>::from));
    match panel.get().checked_sub(1) {
        Some(index) => root.verify_inclusion(&Leaf::new(panel, opening), u64::from(index), &proof).is_ok(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;

    fn leaf_hash(panel: u8, opening: &Opening) -> [u8; 32] {
        Sha256::new()
            .chain_update([0])
            .chain_update(b"counterfoil/v1 panel")
            .chain_update([panel])
            .chain_update(*opening.0)
            .finalize()
            .into()
    }

    #[test]
    fn the_four_panels_hash_as_rfc_6962_says() {
        let master = MasterSeed::from_bytes([7; 32]);
        let node = |l: [u8; 32], r: [u8; 32]| -> [u8; 32] { Sha256::digest([&[1], &l[..], &r].concat()).into() };
        let [a, b, c, d] = [1, 2, 3, 4].map(|i| leaf_hash(i, &master.opening(PanelId::sealed(i).unwrap())));
        assert_eq!(merkle_root(&master), node(node(a, b), node(c, d)));
        assert_eq!(audit_path(&master, PanelId::sealed(1).unwrap()), [b, node(c, d)]);
        assert_eq!(audit_path(&master, PanelId::sealed(3).unwrap()), [d, node(a, b)]);
    }

    #[test]
    fn a_path_fits_its_own_panel_opening_and_root_only() {
        let (master, other) = (MasterSeed::from_bytes([7; 32]), MasterSeed::from_bytes([8; 32]));
        let root = merkle_root(&master);
        for panel in LEAVES.sealed() {
            let (opening, path) = (master.opening(panel), audit_path(&master, panel));
            assert!(is_under_root(&root, panel, &opening, &path));
            assert!(!is_under_root(&root, panel, &other.opening(panel), &path));
            assert!(!is_under_root(&merkle_root(&other), panel, &opening, &path));
            assert!(!is_under_root(&root, panel, &opening, &[&path[..], &[[0; 32]]].concat()));
            assert!(!is_under_root(&root, panel, &opening, &path[..1]));
            assert!(!is_under_root(&root, PanelId::PUBLIC, &opening, &path));
            for elsewhere in LEAVES.sealed().filter(|&p| p != panel) {
                assert!(!is_under_root(&root, elsewhere, &opening, &path));
            }
        }
    }
}
