//! All attacks, by name.

use crate::endpoint::{api_filter, api_vote, flip, jpeg, label_flip, noise, occlude, quantise, smooth};
use crate::extraction::{adv_extract, distil, knockoff, retrain};
use crate::sparse_training::{densify_reprune, re_imp, reverse_reinforce, rewire};
use crate::tuning::{adv_train, fine_prune, fine_tune, label_smooth, regularise, reinitialise, transfer, unlearn};
use crate::{Attack, AttackError};
use crate::{add_back, prune, turn};

/// All of them, by class as docs/attacks.md has them.
pub fn attacks() -> &'static [&'static dyn Attack] {
    &[
        &fine_tune::FineTuneLast,
        &fine_tune::FineTuneAll,
        &reinitialise::RetrainLast,
        &reinitialise::RetrainAll,
        &transfer::Transfer,
        &fine_prune::FinePrune,
        &regularise::Regularise,
        &label_smooth::LabelSmooth,
        &label_smooth::LabelNoise,
        &adv_train::AdvTrain,
        &prune::PruneMagnitude,
        &prune::PruneRandom,
        &turn::Mirror,
        &retrain::Retrain,
        &retrain::CrossArch,
        &distil::Distil,
        &distil::TicketDistil,
        &knockoff::Knockoff,
        &adv_extract::AdvExtract,
        &jpeg::Jpeg,
        &smooth::Blur,
        &smooth::Mean,
        &smooth::Median,
        &noise::InputNoise,
        &quantise::Quantise,
        &quantise::Squeeze,
        &flip::Flip,
        &occlude::Occlude,
        &api_filter::ApiFilter,
        &api_vote::ApiVote,
        &label_flip::LabelFlip,
        &rewire::Rigl,
        &rewire::Set,
        &densify_reprune::DensifyReprune,
        &re_imp::ReImp,
        &reverse_reinforce::ReverseReinforce,
        &unlearn::Unlearn,
        &add_back::AddBackRandom,
        &add_back::AddBackMagnitude,
    ]
}

/// The attack of this name.
///
/// # Errors
///
/// There is none.
pub fn attack(name: &str) -> Result<&'static dyn Attack, AttackError> {
    let found = attacks().iter().find(|attack| attack.profile().name == name);
    found.copied().ok_or_else(|| AttackError::Unknown { found: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Settings;

    #[test]
    fn every_attack_has_a_name_of_its_own_and_defaults_within_its_ranges() {
        let mut names = BTreeSet::new();
        for attack in attacks() {
            let profile = attack.profile();
            assert!(names.insert(profile.name), "{} is there twice", profile.name);
            assert!(!profile.does.is_empty() && !profile.source.is_empty(), "{}", profile.name);
            Settings::new(profile.name, profile.parameters, []).expect("the defaults are within their ranges");
        }
        assert!(attack("none-such").is_err());
    }
}
