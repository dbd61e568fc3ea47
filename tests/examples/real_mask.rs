//! Makes fixtures/real/resnet20-5pct-mask from the checkpoint; see the README.md beside it.

use counterfoil_acceptance::{prune_checkpoint, repository};

fn main() -> std::io::Result<()> {
    let masks = prune_checkpoint().ok_or(std::io::ErrorKind::NotFound)?;
    let bytes: Vec<u8> = masks.iter().flat_map(|(_, mask)| mask.to_bytes()).collect();
    std::fs::write(repository().join("fixtures/real/resnet20-5pct-mask"), bytes)
}
