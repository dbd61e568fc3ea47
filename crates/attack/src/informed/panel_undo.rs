//! Moving the kept positions of panels that are known, until they say nothing; or the opposite.
//!
//! Panels do not share positions, so that those that are not known stay what they are: what is left of them tests just that.

use std::collections::BTreeMap;

use counterfoil_claim::PanelId;
use counterfoil_mark::tally;
use counterfoil_ticket::Model;

use super::known::{chips, move_weights};
use crate::draw::Draw;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings};

/// Undoes the panels that are known.
pub(crate) struct PanelUndo;

impl Attack for PanelUndo {
    fn profile(&self) -> Profile {
        Profile {
            name: "panel-undo",
            does: "move kept weights of the known panels from chip +1 to chip -1 of their filters, the smallest first",
            class: Class::Informed,
            cost: Cost::None,
            needs: &[Need::Key],
            source: "this project",
            parameters: const {
                &[Parameter::number("overshoot", "0", [0.0, 0.5], "share below half that is left of chip +1")]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let insight = means.insight()?;
        let mut draw = Draw::new(means.seed);
        for (panel, _) in insight.panels() {
            undo(&mut stolen, insight, panel, 0.5 - settings.number("overshoot"), &mut draw)?;
        }
        Ok(Attacked::Model(stolen))
    }
}

/// Moves as many weights of a panel as it takes until this share of its kept positions has chip +1, or as many as there is
/// room for.
fn undo(
    model: &mut Model,
    insight: &crate::Insight,
    panel: PanelId,
    share: f64,
    draw: &mut Draw,
) -> Result<(), AttackError> {
    let carriers = chips(model, insight)?;
    let total: counterfoil_mark::Tally =
        carriers.iter().map(|(carrier, chips)| tally(&model.masks[&carrier.name], chips, panel)).sum();
    let wanted = (share * total.n() as f64).ceil() as u64;
    let mut left = total.hits().saturating_sub(wanted);

    let mut candidates = Vec::new();
    let mut room: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (i, (carrier, chips)) in carriers.iter().enumerate() {
        let (values, mask) = (model.arrays[&carrier.name].values(), &model.masks[&carrier.name]);
        let own = |position: usize| if chips.panel[position] == panel.get() { chips.chip[position] } else { 0 };
        for position in draw.shuffled(0..values.len()) {
            match (own(position), mask.keeps(position)) {
                (1, true) => candidates.push((values[position].abs(), i, position)),
                (-1, false) => room.entry((i, position / carrier.shape.row())).or_default().push(position),
                _ => (),
            }
        }
    }
    candidates.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    for (_, i, position) in candidates {
        let carrier = &carriers[i].0;
        let places = room.get_mut(&(i, position / carrier.shape.row()));
        if let (Some(place), 1..) = (places.and_then(Vec::pop), left) {
            move_weights(model, &carrier.name, &[position], &[place]);
            left -= 1;
        }
    }
    Ok(())
}
