//! Pruning of whole channels: layers become narrower.

use counterfoil_ticket::Model;

use crate::sparse::unsuitable;
use crate::structure::wired::Wired;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Prunes channels.
pub(crate) struct PruneStruct;

impl Attack for PruneStruct {
    fn profile(&self) -> Profile {
        Profile {
            name: "prune-struct",
            does: "take whole channels out of inner groups, those that matter least",
            class: Class::Model,
            cost: Cost::None,
            needs: &[],
            source: "by batch norm: network slimming, Liu et al. 2017 (arXiv 1708.06519); by weights: Li et al. 2017 (arXiv 1608.08710)",
            parameters: const {
                &[
                    Parameter::share("share", "0.25", "share of each inner group's channels; one at least stays"),
                    Parameter::choice(
                        "by",
                        "weights",
                        &["weights", "gamma"],
                        "what a channel matters by: the sum of its filter's |w|, or its batch norm's factor",
                    ),
                ]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut wired = Wired::of(stolen, means)?;
        let by_gamma = settings.word("by") == "gamma";
        let inner = wired.inner();
        if inner.is_empty() {
            return Err(unsuitable("it has no channels that one layer alone writes"));
        }
        for group in inner {
            let [layer] = &wired.writers(group)[..] else { continue };
            let width = wired.width(group);
            let mut matters = Vec::new();
            for channel in 0..width {
                matters.push(match (&layer.norm, by_gamma) {
                    (Some(norm), true) => wired.at(&format!("{norm}.weight"), channel).abs(),
                    (None, true) => return Err(unsuitable("it has no batch norms to tell channels by")),
                    (_, false) => wired.row(layer, channel).iter().map(|w| w.abs()).sum(),
                });
            }
            let gone = ((settings.number("share") * width as f64).round() as usize).min(width - 1);
            let mut order: Vec<usize> = (0..width).collect();
            order.sort_by(|&a, &b| matters[a].total_cmp(&matters[b]));
            let mut stay = order.split_off(gone);
            stay.sort_unstable();
            wired.take_channels(group, &stay);
        }
        Ok(Attacked::Model(wired.into_model()))
    }
}
