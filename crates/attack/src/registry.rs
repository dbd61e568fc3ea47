//! All attacks, by name.

use crate::informed::{
    add_on, collude, epsilon, mask_transplant, overwrite, panel_ruin, panel_undo, qr_overwrite, starve, tap_shuffle,
    undo_reference,
};
use crate::model::{low_rank, noise, prune, prune_layer, prune_struct, quant, shift, soup};
use crate::structure::{
    ballast, dead_split, factor, hijack, kernel_expand, mirror, nso_clique, nso_split, nso_zero, permute, regroup,
    rename, rescale, sign_flip, swap_colours,
};
use crate::{Attack, AttackError};
use crate::{add_back, fine_tune, rewire};

/// All of them, by class as docs/attacks.md has them.
pub fn attacks() -> &'static [&'static dyn Attack] {
    &[
        &fine_tune::FineTuneAll,
        &prune::PruneMagnitude,
        &prune::PruneRandom,
        &prune_layer::PruneLayer,
        &prune_struct::PruneStruct,
        &quant::Quant,
        &noise::Noise,
        &shift::Shift,
        &low_rank::LowRank,
        &soup::Soup,
        &permute::Permute,
        &rescale::Rescale,
        &sign_flip::SignFlip,
        &nso_zero::NsoZero,
        &nso_clique::NsoClique,
        &nso_split::NsoSplit,
        &dead_split::DeadSplit,
        &ballast::Ballast,
        &hijack::Hijack,
        &kernel_expand::KernelExpand,
        &factor::Factor,
        &rename::Rename,
        &rename::Reorder,
        &regroup::Regroup,
        &mirror::Mirror,
        &swap_colours::SwapColours,
        &rewire::Rigl,
        &add_back::AddBackRandom,
        &add_back::AddBackMagnitude,
        &panel_undo::PanelUndo,
        &panel_ruin::PanelRuin,
        &add_on::AddOn,
        &epsilon::Epsilon,
        &mask_transplant::MaskTransplant,
        &tap_shuffle::TapShuffle,
        &starve::Starve,
        &collude::Collude,
        &undo_reference::UndoReference,
        &overwrite::Overwrite,
        &qr_overwrite::QrOverwrite,
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
