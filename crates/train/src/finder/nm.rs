//! `nm`: N:M semi-structured sparsity, such as 2:4 (Mishra et al. 2021, arXiv 2104.08378; 1:M by Zhou et al. 2021, arXiv
//! 2102.04010): of every M consecutive input channels, at each output channel and tap, the N largest weights are kept.
//!
//! As in `imp`, after a training and with rewinding, one of each M a round. The ticket's description names the pattern, and
//! `stamp` swaps within a block only, so that a stamped ticket has it too.

use counterfoil_mark::ordered;
use counterfoil_ticket::{Mask, Model, Pattern};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rounds::in_rounds;
use super::{Aim, Epochs, Finder, Keying, Search, recorded};
use crate::TrainError;

/// Which pattern. It is what the sparsity follows from: that of the aim has to be its.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nm {
    /// N of every M.
    pub pattern: Pattern,
}

impl Nm {
    fn rounds(&self) -> u32 {
        self.pattern.of() - self.pattern.kept()
    }
}

impl Finder for Nm {
    fn name(&self) -> &'static str {
        "nm"
    }

    fn settings(&self) -> Value {
        recorded(self)
    }

    fn keying(&self) -> Keying {
        Keying::Decay
    }

    fn epochs(&self, aim: &Aim) -> Option<Epochs> {
        Some(Epochs { rounds: self.rounds(), first: aim.schedule.epochs, rewind: aim.rewind })
    }

    fn check(&self, aim: &Aim) -> Result<(), TrainError> {
        aim.check()?;
        if (aim.sparsity - self.pattern.sparsity()).abs() < 1e-9 {
            return Ok(());
        }
        Err(TrainError::Setting { name: "sparsity", found: aim.sparsity, expected: "that of the pattern" })
    }

    fn seek(&self, search: &mut Search) -> Result<Model, TrainError> {
        let extra_decay = search.favour().extra_decay();
        let shapes: Vec<_> = search.network.layers().iter().map(|layer| (layer.weight(), layer.shape)).collect();
        let mut ticket = in_rounds(
            search,
            |course| self.rounds().saturating_sub(course.round),
            extra_decay,
            |course, _| {
                let (mut masks, magnitudes) = (course.masks.clone(), course.magnitudes());
                let keep = (self.pattern.of() - course.round - 1) as usize;
                for (name, shape) in shapes.iter().filter(|(name, _)| course.masks.contains_key(name)) {
                    let mask = masks.get_mut(name).expect("masks are of these layers");
                    for block in self.pattern.blocks(*shape) {
                        keep_largest(mask, block.positions().collect(), &magnitudes[name], keep);
                    }
                }
                Ok((masks, magnitudes))
            },
        )?;
        ticket.description.pattern = Some(self.pattern);
        Ok(ticket)
    }
}

/// Keeps the `count` largest of what is kept of a block, ties to the later position as everywhere.
fn keep_largest(mask: &mut Mask, mut block: Vec<usize>, magnitudes: &[f32], count: usize) {
    block.retain(|&position| mask.keeps(position));
    block.sort_by_key(|&position| (ordered(magnitudes[position]), position));
    let drop = block.len().saturating_sub(count);
    block[..drop].iter().for_each(|&position| mask.set(position, false));
}
