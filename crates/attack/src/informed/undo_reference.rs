//! The mask that the owner would have had: where somebody can find it again, the swaps are what is different.

use counterfoil_ticket::{Mask, Model};

use super::known::pruned;
use crate::sparse::theirs;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings};

/// Undoes the differences from an unmarked ticket.
pub(crate) struct UndoReference;

impl Attack for UndoReference {
    fn profile(&self) -> Profile {
        Profile {
            name: "undo-reference",
            does: "undo the differences from an unmarked ticket that was found again, the clearest first",
            class: Class::Informed,
            cost: Cost::None,
            needs: &[Need::Other],
            source: "this project",
            parameters: const {
                &[Parameter::share(
                    "share",
                    "1",
                    "share of the differences: the smallest weights only here, the largest only there",
                )]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let reference = means.other()?;
        for carrier in pruned(&stolen)? {
            let theirs = theirs(reference, &carrier.name, stolen.arrays[&carrier.name].shape())?;
            let kept_there = reference.masks.get(&carrier.name).cloned().unwrap_or_else(|| Mask::of_nonzero(theirs));
            let mask = stolen.masks.get_mut(&carrier.name).expect("pruned layers have a mask");
            let values = stolen.arrays.get_mut(&carrier.name).expect("masks are of the model's tensors").values_mut();
            let mut here: Vec<usize> = mask.positions().filter(|&p| !kept_there.keeps(p)).collect();
            let mut there: Vec<usize> = kept_there.positions().filter(|&p| !mask.keeps(p)).collect();
            here.sort_by(|&a, &b| values[a].abs().total_cmp(&values[b].abs()));
            there.sort_by(|&a, &b| theirs[b].abs().total_cmp(&theirs[a].abs()));
            let count = (settings.number("share") * here.len().min(there.len()) as f64).round() as usize;
            for (&gone, &back) in here.iter().zip(&there).take(count) {
                (values[gone], values[back]) = (0.0, theirs[back]);
                mask.set(gone, false);
                mask.set(back, true);
            }
        }
        Ok(Attacked::Model(stolen))
    }
}
