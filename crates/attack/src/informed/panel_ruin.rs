//! Nothing left of the panels that are known: who aligns a suspect by them fails.

use counterfoil_ticket::Model;

use super::known::{chips, move_weights};
use crate::draw::Draw;
use crate::structure::permute::permuted;
use crate::structure::wired::Wired;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Need, Parameter, Profile, Settings};

/// Ruins the panels that are known.
pub(crate) struct PanelRuin;

impl Attack for PanelRuin {
    fn profile(&self) -> Profile {
        Profile {
            name: "panel-ruin",
            does: "move all kept weights of the known panels to random positions of them, then permute channels",
            class: Class::Informed,
            cost: Cost::None,
            needs: &[Need::Key],
            source: "this project",
            parameters: const {
                &[Parameter::choice("permute", "on", &["on", "off"], "whether hidden channels are permuted then")]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        let insight = means.insight()?;
        let mut draw = Draw::new(means.seed);
        for (carrier, chips) in chips(&stolen, insight)? {
            for (panel, _) in insight.panels() {
                let own: Vec<usize> = (0..chips.panel.len()).filter(|&p| chips.panel[p] == panel.get()).collect();
                let mask = &stolen.masks[&carrier.name];
                let kept: Vec<usize> = own.iter().copied().filter(|&position| mask.keeps(position)).collect();
                let places = draw.some(own, kept.len());
                move_weights(&mut stolen, &carrier.name, &kept, &places);
            }
        }
        if settings.word("permute") == "off" {
            return Ok(Attacked::Model(stolen));
        }
        let wired = Wired::of(stolen, means)?;
        Ok(Attacked::Model(permuted(wired, &mut draw).into_model()))
    }
}
