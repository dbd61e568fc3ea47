//! Large weights that nothing reads: they rank above all others.

use counterfoil_ticket::Model;

use super::dummies::groups;
use super::wired::Wired;
use crate::draw::{Draw, part};
use crate::sparse::unsuitable;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Fills what reads dead channels.
pub(crate) struct Ballast;

impl Attack for Ballast {
    fn profile(&self) -> Profile {
        Profile {
            name: "ballast",
            does: "silence dead channels, or others too, and fill what reads them with large weights",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: "this project: no toolbox has it",
            parameters: const {
                &[
                    Parameter::share("share", "0.06", "most channels of each inner group, dead ones first"),
                    Parameter::number("size", "100", [0.0, 1e6], "deviation of the weights"),
                    Parameter::choice(
                        "live",
                        "kept",
                        &["kept", "silenced"],
                        "whether live channels go where dead ones are too few, those of the smallest weights first",
                    ),
                ]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut wired = Wired::of(stolen, means)?;
        let mut draw = Draw::new(means.seed);
        let mut filled = 0;
        for group in groups(&wired)? {
            let width = wired.width(group);
            let mut victims: Vec<(bool, f32, usize)> = (0..width)
                .map(|channel| {
                    let readers = wired.readers(group);
                    let read: f32 =
                        readers.iter().map(|layer| wired.column(layer, channel).map(|w| w.abs()).sum::<f32>()).sum();
                    (!wired.is_dead(group, channel), read, channel)
                })
                .filter(|(is_live, ..)| !is_live || settings.word("live") == "silenced")
                .collect();
            victims.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            for &(.., channel) in victims.iter().take(part(settings.number("share"), width)) {
                wired.writers(group).iter().for_each(|layer| wired.silence(layer, channel));
                for layer in wired.readers(group) {
                    let size = settings.number("size") as f32;
                    wired.column(&layer, channel).for_each(|w| *w = size * draw.normal());
                }
                filled += 1;
            }
        }
        if filled == 0 {
            return Err(unsuitable("it has no dead channels, and live ones are to be kept"));
        }
        Ok(Attacked::Model(wired.into_model()))
    }
}
