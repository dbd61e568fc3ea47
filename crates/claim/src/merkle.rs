//! Merkle root over the sealed panels: what lets one panel be disclosed without the others.
//!
//! Implements "Merkle root over the sealed panels" of docs/protocol.md with the hashing of RFC 6962, section 2.1. Trees
//! and audit paths are those of crate `ct-merkle`; the leaves, which hold seeds, are wiped when the tree is dropped.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{InclusionProof, RootHash};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{MasterSeed, PanelCount, PanelId, Seed};

/// Leaf of one sealed panel: `"counterfoil/v1 panel" || u8(i) || seed_i`.
struct Leaf(Zeroizing<Vec<u8>>);

impl Leaf {
    fn new(panel: PanelId, seed: &Seed) -> Self {
        Self(Zeroizing::new([b"counterfoil/v1 panel".as_slice(), &[panel.get()], seed.as_bytes()].concat()))
    }
}

impl AsRef<[u8]> for Leaf {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn tree(master: &MasterSeed, panels: PanelCount) -> MemoryBackedTree<Sha256, Leaf> {
    let mut tree = MemoryBackedTree::new();
    for panel in panels.sealed() {
        tree.push(Leaf::new(panel, &master.panel(panel)));
    }
    tree
}

/// Root over the sealed panels 1 to P.
pub fn merkle_root(master: &MasterSeed, panels: PanelCount) -> [u8; 32] {
    (*tree(master, panels).root().as_bytes()).into()
}

/// Audit path of a sealed panel (RFC 6962, section 2.1.1), from the leaf upward. The panel is one of the P.
pub(crate) fn audit_path(master: &MasterSeed, panels: PanelCount, panel: PanelId) -> Vec<[u8; 32]> {
    let proof = tree(master, panels).prove_inclusion(usize::from(panel.get()) - 1);
    let (hashes, rest) = proof.as_bytes().as_chunks();
    debug_assert!(rest.is_empty());
    hashes.to_vec()
}

/// Whether the root commits to this seed as the seed of this sealed panel, by this audit path.
pub(crate) fn is_under_root(
    root: &[u8; 32],
    panels: PanelCount,
    panel: PanelId,
    seed: &Seed,
    path: &[[u8; 32]],
) -> bool {
    let root = RootHash::<Sha256>::new((*root).into(), u64::from(panels.get()));
    let proof = InclusionProof::from_digests(path.iter().map(<&_>::from));
    match panel.get().checked_sub(1) {
        Some(index) => root.verify_inclusion(&Leaf::new(panel, seed), u64::from(index), &proof).is_ok(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;

    fn leaf_hash(panel: u8, seed: &Seed) -> [u8; 32] {
        Sha256::new()
            .chain_update([0])
            .chain_update(b"counterfoil/v1 panel")
            .chain_update([panel])
            .chain_update(seed.as_bytes())
            .finalize()
            .into()
    }

    #[test]
    fn three_panels_hash_as_rfc_6962_says() {
        let master = MasterSeed::from_bytes([7; 32]);
        let three = PanelCount::new(3).unwrap();
        let node = |l: [u8; 32], r: [u8; 32]| -> [u8; 32] { Sha256::digest([&[1], &l[..], &r].concat()).into() };
        let [a, b, c] = [1, 2, 3].map(|i| leaf_hash(i, &master.panel(PanelId::sealed(i).unwrap())));
        assert_eq!(merkle_root(&master, three), node(node(a, b), c));
        assert_eq!(audit_path(&master, three, PanelId::sealed(1).unwrap()), [b, c]);
        assert_eq!(audit_path(&master, three, PanelId::sealed(3).unwrap()), [node(a, b)]);
    }

    #[test]
    fn a_path_fits_its_own_panel_seed_and_root_only() {
        let (master, other) = (MasterSeed::from_bytes([7; 32]), MasterSeed::from_bytes([8; 32]));
        for panels in (1..=4).map(|p| PanelCount::new(p).unwrap()) {
            let root = merkle_root(&master, panels);
            for panel in panels.sealed() {
                let (seed, path) = (master.panel(panel), audit_path(&master, panels, panel));
                assert!(is_under_root(&root, panels, panel, &seed, &path));
                assert!(!is_under_root(&root, panels, panel, &other.panel(panel), &path));
                assert!(!is_under_root(&merkle_root(&other, panels), panels, panel, &seed, &path));
                assert!(!is_under_root(&root, panels, panel, &seed, &[&path[..], &[[0; 32]]].concat()));
                assert!(!is_under_root(&root, panels, PanelId::PUBLIC, &seed, &path));
                for elsewhere in panels.sealed().filter(|&p| p != panel) {
                    assert!(!is_under_root(&root, panels, elsewhere, &seed, &path));
                }
            }
        }
    }
}
