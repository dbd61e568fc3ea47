//! All attacks, by name.

use crate::{Attack, AttackError};
use crate::{add_back, endpoint, extraction, informed, model, sparse_training, structure, tuning};

/// All of them, by class as docs/attacks.md has them.
pub fn attacks() -> &'static [&'static dyn Attack] {
    &[
        &tuning::fine_tune::FineTuneLast,
        &tuning::fine_tune::FineTuneAll,
        &tuning::reinitialise::RetrainLast,
        &tuning::reinitialise::RetrainAll,
        &tuning::transfer::Transfer,
        &tuning::fine_prune::FinePrune,
        &tuning::regularise::Regularise,
        &tuning::label_smooth::LabelSmooth,
        &tuning::label_smooth::LabelNoise,
        &tuning::adv_train::AdvTrain,
        &model::prune::PruneMagnitude,
        &model::prune::PruneRandom,
        &model::prune_layer::PruneLayer,
        &model::prune_struct::PruneStruct,
        &model::quant::Quant,
        &model::noise::Noise,
        &model::shift::Shift,
        &model::low_rank::LowRank,
        &model::soup::Soup,
        &structure::permute::Permute,
        &structure::rescale::Rescale,
        &structure::sign_flip::SignFlip,
        &structure::nso_zero::NsoZero,
        &structure::nso_clique::NsoClique,
        &structure::nso_split::NsoSplit,
        &structure::dead_split::DeadSplit,
        &structure::ballast::Ballast,
        &structure::hijack::Hijack,
        &structure::kernel_expand::KernelExpand,
        &structure::factor::Factor,
        &structure::rename::Rename,
        &structure::rename::Reorder,
        &structure::regroup::Regroup,
        &structure::mirror::Mirror,
        &structure::swap_colours::SwapColours,
        &extraction::retrain::Retrain,
        &extraction::retrain::CrossArch,
        &extraction::distil::Distil,
        &extraction::distil::TicketDistil,
        &extraction::knockoff::Knockoff,
        &extraction::adv_extract::AdvExtract,
        &endpoint::jpeg::Jpeg,
        &endpoint::smooth::Blur,
        &endpoint::smooth::Mean,
        &endpoint::smooth::Median,
        &endpoint::noise::InputNoise,
        &endpoint::quantise::Quantise,
        &endpoint::quantise::Squeeze,
        &endpoint::flip::Flip,
        &endpoint::occlude::Occlude,
        &endpoint::api_filter::ApiFilter,
        &endpoint::api_vote::ApiVote,
        &endpoint::label_flip::LabelFlip,
        &sparse_training::rewire::Rigl,
        &sparse_training::rewire::Set,
        &sparse_training::densify_reprune::DensifyReprune,
        &sparse_training::re_imp::ReImp,
        &sparse_training::reverse_reinforce::ReverseReinforce,
        &tuning::unlearn::Unlearn,
        &add_back::AddBackRandom,
        &add_back::AddBackMagnitude,
        &informed::panel_undo::PanelUndo,
        &informed::panel_ruin::PanelRuin,
        &informed::add_on::AddOn,
        &informed::epsilon::Epsilon,
        &informed::mask_transplant::MaskTransplant,
        &informed::tap_shuffle::TapShuffle,
        &informed::starve::Starve,
        &informed::collude::Collude,
        &informed::undo_reference::UndoReference,
        &informed::overwrite::Overwrite,
        &informed::qr_overwrite::QrOverwrite,
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
    use crate::{Parameter, Profile, Range, Settings};

    #[test]
    fn every_attack_has_a_name_of_its_own_and_defaults_within_its_ranges() {
        let mut names = BTreeSet::new();
        for attack in attacks() {
            let profile = attack.profile();
            assert!(names.insert(profile.name), "{} is there twice", profile.name);
            assert!(!profile.does.is_empty() && !profile.source.is_empty(), "{}", profile.name);
            Settings::new(profile.name, profile.parameters, []).expect("the defaults are within their ranges");
        }
        let unknown = attack("none-such").err().map(|error| error.to_string());
        assert_eq!(unknown.as_deref(), Some("there is no attack 'none-such'"));
    }

    /// An attack as docs/attacks.md has it.
    fn row(profile: &Profile) -> String {
        let range = |range: Range| match range {
            Range::Number { least, most } => format!("{least} to {most}"),
            Range::Count { least, most } => format!("{least} to {most}"),
            Range::Choice { words } => words.join(" \\| "),
        };
        let parameter = |parameter: &Parameter| {
            format!("`{}` = {}: {} ({})", parameter.name, parameter.default, parameter.about, range(parameter.range))
        };
        let or_none = |texts: Vec<String>, between: &str| {
            if texts.is_empty() { "–".to_owned() } else { texts.join(between) }
        };
        let needs = or_none(profile.needs.iter().map(|need| need.in_words().to_owned()).collect(), ", ");
        let parameters = or_none(profile.parameters.iter().map(parameter).collect(), "<br>");
        let Profile { name, does, source, .. } = profile;
        format!("| `{name}` | {does} | {} | {needs} | {parameters} | {source} |\n", profile.cost.name())
    }

    #[test]
    fn the_page_has_every_attack_with_its_parameters() {
        let page = include_str!("../../../docs/attacks.md");
        let missing = attacks().iter().map(|attack| row(&attack.profile())).filter(|row| !page.contains(row));
        let missing: String = missing.collect();
        assert!(missing.is_empty(), "docs/attacks.md lacks these rows:\n{missing}");
    }
}
