//! Channels that all say the same and cancel where they are read.

use counterfoil_ticket::Model;

use super::dummies::{SHARE, SOURCE, add, drawn_column, groups, redraw_row, set_column};
use super::wired::Wired;
use crate::draw::{Draw, part};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Adds channels that cancel.
pub(crate) struct NsoClique;

impl Attack for NsoClique {
    fn profile(&self) -> Profile {
        Profile {
            name: "nso-clique",
            does: "add cliques of channels to inner groups that read the same and cancel where they are read",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: SOURCE,
            parameters: const { &[SHARE, Parameter::count("size", "2", [2, 16], "channels of a clique")] },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut wired = Wired::of(stolen, means)?;
        let mut draw = Draw::new(means.seed);
        let size = settings.count("size") as usize;
        for group in groups(&wired)? {
            let width = wired.width(group);
            for _ in 0..part(settings.number("share"), width).div_ceil(size) {
                let copied = vec![draw.below(wired.width(group)); size];
                let places = add(&mut wired, group, &copied, &mut draw);
                for layer in wired.writers(group) {
                    redraw_row(&mut wired, &layer, places[0], &mut draw);
                }
                places[1..].iter().for_each(|&place| wired.copy_row(group, places[0], place));
                for layer in wired.readers(group) {
                    let support = drawn_column(&mut wired, &layer, places[0], &mut draw);
                    let mut sum = vec![0.0; support.len()];
                    for &place in &places[1..] {
                        let part: Vec<f32> = support.iter().map(|w| w.abs() * draw.normal()).collect();
                        sum.iter_mut().zip(&part).for_each(|(sum, w)| *sum -= w);
                        set_column(&mut wired, &layer, place, &part);
                    }
                    set_column(&mut wired, &layer, places[0], &sum);
                }
            }
        }
        Ok(Attacked::Model(wired.into_model()))
    }
}
