//! Hidden channels in another order ("LayerShuffle": Pan et al. 2023, arXiv 2205.00199).

use std::collections::BTreeMap;

use counterfoil_ticket::Model;

use super::wired::Wired;
use crate::draw::Draw;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Profile, Settings};

/// Permutes every hidden channel group.
pub(crate) struct Permute;

impl Attack for Permute {
    fn profile(&self) -> Profile {
        Profile {
            name: "permute",
            does: "put the channels of every hidden group in a random order",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: "LayerShuffle: Pan et al. 2023 (arXiv 2205.00199)",
            parameters: &[],
        }
    }

    fn run(&self, stolen: Model, _: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let wired = Wired::of(stolen, means)?;
        Ok(Attacked::Model(permuted(wired, &mut Draw::new(means.seed)).into_model()))
    }
}

/// The model with its hidden channels in a random order.
pub(crate) fn permuted(mut wired: Wired, draw: &mut Draw) -> Wired {
    let mut orders: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for group in wired.hidden() {
        let width = wired.width(group);
        let order = match wired.shortcut_into(group) {
            Some(shortcut) => through(&orders[&shortcut.from], shortcut.offset as usize, width, draw),
            None => draw.shuffled(0..width),
        };
        wired.take_channels(group, &order);
        orders.insert(group, order);
    }
    wired
}

/// A random order of `width` channels that moves those which a shortcut reaches as `from` moves those that it comes from.
fn through(from: &[usize], offset: usize, width: usize, draw: &mut Draw) -> Vec<usize> {
    let reached = offset..offset + from.len();
    let mut others = draw.shuffled((0..width).filter(|channel| !reached.contains(channel))).into_iter();
    let source = |channel: usize| match from.get(channel.wrapping_sub(offset)) {
        Some(source) => offset + source,
        None => others.next().expect("there are as many others as places for them"),
    };
    (0..width).map(source).collect()
}
