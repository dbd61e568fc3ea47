//! Reinforcement turned round: fine-tuning with more weight decay at chip +1 of every panel that the attacker knows, so that
//! whatever prunes by magnitude afterwards drops those first. Then it prunes.
//!
//! The owner's own means (unequal decay, `counterfoil find` under a key) in the attacker's hand.

use std::collections::BTreeMap;

use counterfoil_claim::{PanelId, Seed};
use counterfoil_mark::chip_map;
use counterfoil_ticket::Model;
use counterfoil_train::Hold;

use super::densify_reprune::pruned_to;
use crate::sparse::masks_or_full;
use crate::tuning::{DATA_SHARE, Lesson, decay, epochs, labels, rate};
use crate::{Attack, AttackError, Attacked, Class, Cost, Insight, Means, Need, Parameter, Profile, Settings, Sparse};

/// Lets chip +1 of known panels decay, then prunes.
pub(crate) struct ReverseReinforce;

impl Attack for ReverseReinforce {
    fn profile(&self) -> Profile {
        Profile {
            name: "reverse-reinforce",
            does: "train on with more decay at chip +1 of every panel that the attacker knows, then prune the smallest weights",
            class: Class::Informed,
            cost: Cost::Tuning,
            needs: &[Need::Data, Need::Key],
            source: "this project",
            parameters: const {
                &[
                    epochs("5"),
                    rate("0.05"),
                    decay("1e-4"),
                    Parameter::number("extra-decay", "0.03", [0.0, 0.999], "decay to add at chip +1"),
                    Parameter::choice(
                        "mask",
                        "free",
                        &["held", "free"],
                        "whether pruned weights stay 0 while it trains",
                    ),
                    Parameter::share("share", "0.2", "share of the kept weights that is missing at the end"),
                    labels("own"),
                    DATA_SHARE,
                ]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        stolen.masks = masks_or_full(&stolen);
        let extra_decay = against(means.insight()?, &stolen, settings.number("extra-decay") as f32);
        let sparse = Sparse::of(&stolen, means)?;
        let lesson = Lesson::new(settings, means, &sparse.network)?;
        let left = (1.0 - settings.number("share")) * sparse.kept() as f64;
        let held = if settings.word("mask") == "held" { sparse.masks.clone() } else { BTreeMap::new() };
        let hold = Hold::new(&sparse.network, &held, extra_decay);
        let trained = sparse.trained(|network| lesson.train(network, &hold, means.on_event))?;
        Ok(Attacked::Model(pruned_to(trained.network, &trained.masks, left).into_model(stolen)))
    }
}

/// This decay where a known panel has chip +1, by weight tensor and flat position.
fn against(insight: &Insight, model: &Model, decay: f32) -> BTreeMap<String, Vec<f32>> {
    let panels = insight.panels();
    let seeds: Vec<(PanelId, &Seed)> = panels.iter().map(|(panel, seed)| (*panel, seed)).collect();
    let carriers = model.marked_carriers().into_iter();
    carriers
        .map(|carrier| {
            let chips = chip_map(&seeds, &insight.key, &insight.split, &carrier, insight.dilution).chip;
            (carrier.name, chips.into_iter().map(|chip| if chip > 0 { decay } else { 0.0 }).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use counterfoil_claim::{Dilution, OwnerKey, PanelCount, Split};

    use super::*;
    use crate::victim::{data, kept, left, victim, with_means};

    #[test]
    fn what_is_left_has_few_of_the_known_panel_s_chips() {
        let before = victim();
        let insight = Insight {
            key: OwnerKey::from_seed(&[3; 32]).public(),
            split: Split::Owner(PanelCount::new(1).unwrap()),
            dilution: Dilution::ALL[0],
            disclosed: Vec::new(),
        };
        let data = data();
        let after = with_means(&data, |means| {
            means.insight = Some(insight.clone());
            left(&ReverseReinforce, &before, &[("data-share", "1"), ("epochs", "15"), ("extra-decay", "0.1")], means)
        });
        assert_eq!(kept(&after), (kept(&before) as f64 * 0.8).round() as usize);
        let share = |model: &Model| {
            let (mut plus, mut all) = (0.0, 0.0);
            for carrier in model.marked_carriers() {
                let public = insight.key.public_seed();
                let seeds = [(PanelId::PUBLIC, &public)];
                let chips = chip_map(&seeds, &insight.key, &insight.split, &carrier, insight.dilution).chip;
                let kept = model.masks[&carrier.name].positions().filter(|&p| chips[p] != 0);
                kept.for_each(|p| (plus, all) = (plus + f64::from(u8::from(chips[p] > 0)), all + 1.0));
            }
            plus / all
        };
        // Of some 600 fair coins the share is within 0.06 of a half.
        assert!((share(&before) - 0.5).abs() < 0.07 && share(&after) < 0.4, "{} {}", share(&before), share(&after));
    }
}
