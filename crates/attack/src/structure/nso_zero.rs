//! Channels without effect, since what they read or what reads them is 0.

use counterfoil_ticket::Model;

use super::dummies::{SHARE, SOURCE, add, drawn_column, groups, redraw_row, set_column};
use super::wired::Wired;
use crate::draw::{Draw, part};
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Adds channels without effect.
pub(crate) struct NsoZero;

impl Attack for NsoZero {
    fn profile(&self) -> Profile {
        Profile {
            name: "nso-zero",
            does: "add channels to inner groups that read or are read by zeros only",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: SOURCE,
            parameters: const {
                &[
                    SHARE,
                    Parameter::choice("zeros", "outgoing", &["outgoing", "incoming"], "which of their weights are 0"),
                ]
            },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut wired = Wired::of(stolen, means)?;
        let mut draw = Draw::new(means.seed);
        for group in groups(&wired)? {
            let width = wired.width(group);
            let copied: Vec<usize> = (0..part(settings.number("share"), width)).map(|_| draw.below(width)).collect();
            for channel in add(&mut wired, group, &copied, &mut draw) {
                for layer in wired.writers(group) {
                    if settings.word("zeros") == "outgoing" {
                        redraw_row(&mut wired, &layer, channel, &mut draw);
                    } else {
                        wired.row(&layer, channel).fill(0.0);
                        wired.silence(&layer, channel);
                    }
                }
                for layer in wired.readers(group) {
                    let mut column = drawn_column(&mut wired, &layer, channel, &mut draw);
                    if settings.word("zeros") == "outgoing" {
                        column.fill(0.0);
                    }
                    set_column(&mut wired, &layer, channel, &column);
                }
            }
        }
        Ok(Attacked::Model(wired.into_model()))
    }
}
