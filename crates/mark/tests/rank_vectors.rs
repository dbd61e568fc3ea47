//! Ranks against `fixtures/protocol/rank-vectors.json`, which an independent program wrote.

use counterfoil_mark::{Balanced, RankRoom};
use counterfoil_ticket::{CarrierShape, Values};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Vector {
    shape: CarrierShape,
    values_sha256: String,
    zeros: u32,
    kind: String,
    emptied: bool,
    first_ranks: Vec<String>,
    ranks_sha256: String,
    kept: Vec<Kept>,
}

#[derive(Deserialize)]
struct Kept {
    count: usize,
    positions_sha256: String,
}

/// As in `make_rank_vectors.py`.
fn values(vector: &Vector) -> Vec<f32> {
    let (shape, mut state) = (vector.shape, 1u64);
    let value = |position: usize| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        let value = ((state / 65_536 % 257) as f32 - 128.0) / 64.0;
        let (row, column) = (position / shape.row(), position / shape.taps() % shape.inp as usize);
        let value = match (vector.kind.as_str(), value < 0.0) {
            ("scaled", _) if row.is_multiple_of(3) => value * 1024.0,
            ("plain" | "scaled", _) => value,
            ("equal", below) => {
                if below {
                    0.5
                } else {
                    -0.5
                }
            }
            ("extreme", below) => {
                if below {
                    2f32.powi(127)
                } else {
                    f32::from_bits(1)
                }
            }
            (kind, _) => panic!("a kind '{kind}' is not known"),
        };
        let is_gone = state / 256 % 100 < u64::from(vector.zeros) || (vector.emptied && (row == 1 || column == 0));
        if is_gone { 0.0 } else { value }
    };
    (0..vector.shape.size()).map(value).collect()
}

fn sha256(words: impl Iterator<Item = [u8; 4]>) -> String {
    hex::encode(Sha256::digest(words.flatten().collect::<Vec<u8>>()))
}

#[test]
fn ranks_and_what_they_keep_are_those_of_the_vectors() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../../fixtures/protocol/rank-vectors.json"))
        .expect("the vectors are well-formed");
    assert_eq!(vectors.len(), 7);
    for vector in vectors {
        let found = values(&vector);
        assert_eq!(sha256(found.iter().map(|v| v.to_le_bytes())), vector.values_sha256);
        let held = Values::from(found.clone());
        let balanced = Balanced::new(&held, vector.shape).expect("held values can be read");
        let mut room = RankRoom::default();
        let ranks = balanced.ranks(0..vector.shape.out as usize, &mut room).expect("held values can be read");
        // One more than in the protocol, so that 0 is left for values of 0.
        let theirs: Vec<u32> = ranks.iter().map(|rank| rank.saturating_sub(1)).collect();
        let first: Vec<String> = theirs.iter().take(12).map(|rank| format!("{rank:08x}")).collect();
        assert_eq!(first[..vector.first_ranks.len()], vector.first_ranks);
        assert_eq!(sha256(theirs.iter().map(|rank| rank.to_be_bytes())), vector.ranks_sha256);
        let counts: Vec<usize> = vector.kept.iter().map(|kept| kept.count).collect();
        let cuts = balanced.cuts(&counts).expect("held values can be read");
        for (cut, Kept { count, positions_sha256 }) in cuts.iter().zip(&vector.kept) {
            let mut kept = vec![0; ranks.len()];
            cut.count(0, ranks, &mut kept);
            let positions =
                (0u32..).zip(&kept).filter(|(_, kept)| **kept == 1).map(|(position, _)| position.to_be_bytes());
            assert_eq!(sha256(positions), *positions_sha256, "the {count} largest of {:?}", vector.shape);
        }
    }
}
