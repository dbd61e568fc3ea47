//! Channels in several copies that add up where they are read.

use counterfoil_ticket::Model;

use super::dummies::{SHARE, SOURCE, add, groups, set_column};
use super::wired::Wired;
use crate::draw::{Draw, part, rms};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Splits channels.
pub(crate) struct NsoSplit;

impl Attack for NsoSplit {
    fn profile(&self) -> Profile {
        Profile {
            name: "nso-split",
            does: "split channels of inner groups into copies that add up where they are read",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: SOURCE,
            parameters: const {
                &[
                    SHARE,
                    Parameter::count("copies", "2", [2, 4], "what a channel becomes"),
                    Parameter::choice(
                        "parts",
                        "random",
                        &["random", "support"],
                        "random numbers that add up to each weight, or each weight in one copy only",
                    ),
                ]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut wired = Wired::of(stolen, means)?;
        let mut draw = Draw::new(means.seed);
        let more = settings.count("copies") as usize - 1;
        for group in groups(&wired)? {
            let width = wired.width(group);
            for _ in 0..part(settings.number("share"), width) {
                let channel = draw.below(wired.width(group));
                let places = add(&mut wired, group, &vec![channel; more], &mut draw);
                let original = place_of_original(channel, &places);
                for layer in wired.readers(group) {
                    let size = rms(wired.array(&layer.weight()).values());
                    let mut left: Vec<f32> = wired.column(&layer, original).map(|w| *w).collect();
                    for (i, &place) in places.iter().enumerate() {
                        let mut take = |left: &mut f32| {
                            let chance = 1.0 / (more + 1 - i) as f64;
                            let part = match settings.word("parts") {
                                _ if *left == 0.0 => 0.0,
                                "support" if draw.happens(chance) => *left,
                                "support" => 0.0,
                                _ => size * draw.normal(),
                            };
                            *left -= part;
                            part
                        };
                        let part: Vec<f32> = left.iter_mut().map(&mut take).collect();
                        set_column(&mut wired, &layer, place, &part);
                    }
                    set_column(&mut wired, &layer, original, &left);
                }
            }
        }
        Ok(Attacked::Model(wired.into_model()))
    }
}

/// Where a channel is after others were put in at these places.
fn place_of_original(channel: usize, added: &[usize]) -> usize {
    let mut free = (0..).filter(|place| !added.contains(place));
    free.nth(channel).expect("it has no end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn originals_are_found_between_what_was_added() {
        // 0 1 2 3 with two put in: 0 x 1 x 2 3
        let places = [3, 1];
        assert_eq!([0, 1, 2, 3].map(|channel| place_of_original(channel, &places)), [0, 2, 4, 5]);
    }
}
