//! Dead channels made copies of live ones: shapes stay, and one-to-one matching sees half of the edges.

use counterfoil_ticket::Model;

use super::dummies::{groups, set_column};
use super::wired::Wired;
use crate::draw::{Draw, part};
use crate::sparse::unsuitable;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Splits live channels into dead ones.
pub(crate) struct DeadSplit;

impl Attack for DeadSplit {
    fn profile(&self) -> Profile {
        Profile {
            name: "dead-split",
            does: "make dead channels copies of the most read ones and share out what reads those",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: "this project: no toolbox has it",
            parameters: const { &[Parameter::share("share", "1", "share of the dead channels; at least one")] },
        }
    }

    fn run(&self, stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let mut wired = Wired::of(stolen, means)?;
        let mut draw = Draw::new(means.seed);
        let dead = dead(&mut wired)?;
        let count = part(settings.number("share"), dead.len());
        for (group, channel) in draw.some(dead.clone(), count) {
            let Some(donor) = most_read(&mut wired, group, &dead) else { continue };
            wired.copy_row(group, donor, channel);
            for layer in wired.readers(group) {
                let own: Vec<f32> = wired.column(&layer, donor).map(|w| *w).collect();
                let moves: Vec<bool> = own.iter().map(|_| draw.happens(0.5)).collect();
                let split = |take: bool| own.iter().zip(&moves).map(move |(w, m)| if *m == take { *w } else { 0.0 });
                let (moved, left): (Vec<f32>, Vec<f32>) = (split(true).collect(), split(false).collect());
                set_column(&mut wired, &layer, donor, &left);
                set_column(&mut wired, &layer, channel, &moved);
            }
        }
        Ok(Attacked::Model(wired.into_model()))
    }
}

/// Group and channel of all dead channels.
///
/// # Errors
///
/// There are none.
pub(super) fn dead(wired: &mut Wired) -> Result<Vec<(usize, usize)>, AttackError> {
    let channels = |group: usize| (0..wired.width(group)).map(move |channel| (group, channel));
    let mut all: Vec<(usize, usize)> = groups(wired)?.into_iter().flat_map(channels).collect();
    all.retain(|&(group, channel)| wired.is_dead(group, channel));
    if all.is_empty() { Err(unsuitable("it has no dead channels")) } else { Ok(all) }
}

/// The live channel of the group that most weights read, if more than one reads any.
fn most_read(wired: &mut Wired, group: usize, dead: &[(usize, usize)]) -> Option<usize> {
    let readers = wired.readers(group);
    let mut reads = |channel: usize| -> usize {
        readers.iter().map(|layer| wired.column(layer, channel).filter(|w| **w != 0.0).count()).sum()
    };
    let width = readers.first()?.shape.inp as usize;
    let live = (0..width).filter(|&channel| !dead.contains(&(group, channel)));
    let most = live.max_by_key(|&channel| (reads(channel), std::cmp::Reverse(channel)))?;
    (reads(most) > 1).then_some(most)
}
