//! Arguments of `find` that say which finder, and what it takes. Options that it has no use for are refused, not ignored.

use std::path::PathBuf;

use clap::ValueEnum;
use counterfoil_ticket::Pattern;
use counterfoil_train::finder::{
    Aim, Bip, Channel, ClassAware, Densities, EdgePopup, Finder, Granet, Grasp, Imp, Jackpot, Magnitude, Nm, Random,
    Rigl, Sap, Scope, Snip, Synflow,
};

use crate::{Error, value};

/// Sparsity by default, the paper's.
const SPARSITY: f64 = 0.95;
/// Share that a round of `imp` prunes by default, the paper's.
const PRUNE_SHARE: f64 = 0.2;
/// Share that `rigl` moves by default, the paper's.
const RIGL_SHARE: f64 = 0.3;
/// Share that `granet` regenerates by default.
const GRANET_SHARE: f64 = 0.5;

/// Which finder, and its settings.
#[derive(Debug, clap::Args)]
pub(crate) struct FinderArgs {
    /// How to find it
    #[arg(long, value_enum, default_value = "imp")]
    finder: FinderName,
    /// Share of the weights that the ticket prunes [default: 0.95]
    #[arg(long, value_name = "SHARE", value_parser = value::part)]
    sparsity: Option<f64>,
    /// imp: share of the remaining weights that each round prunes [default: 0.2]
    #[arg(long, value_name = "SHARE", value_parser = value::part)]
    prune_share: Option<f64>,
    /// Finders that train: epoch whose end the weights are rewound to [default: 3 of 182, in proportion]
    #[arg(long, value_name = "EPOCH")]
    rewind: Option<u32>,
    /// Finders that train: back to the initial weights, as in the first lottery tickets
    #[arg(long, conflicts_with = "rewind")]
    no_rewind: bool,
    /// imp, magnitude, sap, edge-popup, jackpot, bip, channel: what competes for being kept, all layers together or each on its
    /// own [default: layer for edge-popup and channel, else global]
    #[arg(long, value_enum, value_name = "SCOPE")]
    scope: Option<ScopeName>,
    /// random, rigl: densities of the layers [default: erk]
    #[arg(long, value_enum, value_name = "DENSITIES")]
    densities: Option<DensitiesName>,
    /// rigl, granet: share of the kept weights that move after the first epoch, later fewer [default: 0.3 for rigl, 0.5 for
    /// granet]
    #[arg(long, value_name = "SHARE", value_parser = value::part)]
    move_share: Option<f64>,
    /// nm: how many weights of how many consecutive input channels are kept [default: 2:4]
    #[arg(long, value_name = "N:M", value_parser = value::pattern)]
    n_of_m: Option<Pattern>,
    /// magnitude, jackpot (needs it), bip: a trained model, whose network and weights are the ticket's
    #[arg(long, value_name = "FILE")]
    pub(crate) pretrained: Option<PathBuf>,
}

/// Ticket finders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FinderName {
    /// Iterative magnitude pruning with late rewinding
    Imp,
    /// The largest weights at once, after a training or of a pretrained model
    Magnitude,
    /// Random masks: the control of the others
    Random,
    /// Sensitivity of the loss to each weight at initialisation
    Snip,
    /// Flow of gradients at initialisation
    Grasp,
    /// Synaptic flow, without data
    Synflow,
    /// A sparse network whose mask moves in training
    Rigl,
    /// Gradual pruning with regeneration in training
    Granet,
    /// Iterative magnitude pruning by the PQ index
    Sap,
    /// A mask learned on random, fixed weights
    EdgePopup,
    /// A mask learned on pretrained, fixed weights
    Jackpot,
    /// Bi-level pruning: weights and mask in turn
    Bip,
    /// N of every M consecutive input channels
    Nm,
    /// What the class needs that needs it most
    ClassAware,
    /// Whole channels, with what writes and what reads them
    Channel,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ScopeName {
    /// All layers together
    Global,
    /// Each layer on its own
    Layer,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum DensitiesName {
    /// The same everywhere
    Uniform,
    /// Erdős–Rényi with kernels: smaller layers are denser
    Erk,
}

impl FinderName {
    /// As the command line has it.
    fn in_words(self) -> String {
        self.to_possible_value().expect("no finder is hidden from the command line").get_name().to_owned()
    }

    /// Whether its tickets have the weights of the rewinding epoch, unless it starts from a trained model.
    fn rewinds(self) -> bool {
        self.takes().contains(&"--rewind")
    }

    /// The options that it takes, of those that not all finders do.
    fn takes(self) -> &'static [&'static str] {
        match self {
            Self::Imp => &["--sparsity", "--prune-share", "--rewind", "--no-rewind", "--scope"],
            Self::Magnitude => &["--sparsity", "--rewind", "--no-rewind", "--scope", "--pretrained"],
            Self::Random => &["--sparsity", "--densities"],
            Self::Snip | Self::Grasp | Self::Synflow => &["--sparsity"],
            Self::Rigl => &["--sparsity", "--densities", "--move-share", "--rewind", "--no-rewind"],
            Self::Granet => &["--sparsity", "--move-share", "--rewind", "--no-rewind"],
            Self::Sap | Self::Channel => &["--sparsity", "--rewind", "--no-rewind", "--scope"],
            Self::EdgePopup => &["--sparsity", "--scope"],
            Self::Jackpot => &["--sparsity", "--scope", "--pretrained"],
            Self::Bip => &["--sparsity", "--rewind", "--no-rewind", "--scope", "--pretrained"],
            Self::Nm => &["--n-of-m", "--rewind", "--no-rewind"],
            Self::ClassAware => &["--sparsity", "--rewind", "--no-rewind"],
        }
    }
}

/// Whether tickets of the finder that a record names have the weights of the rewinding epoch; of one that is not known they may.
pub(crate) fn may_rewind(finder: &str) -> bool {
    FinderName::from_str(finder, false).map_or(true, FinderName::rewinds)
}

impl FinderArgs {
    /// The finder.
    pub(crate) fn finder(&self) -> Result<Box<dyn Finder>, Error> {
        let scope = match self.scope {
            Some(ScopeName::Layer) => Scope::Layer,
            None if matches!(self.finder, FinderName::EdgePopup | FinderName::Channel) => Scope::Layer,
            Some(ScopeName::Global) | None => Scope::Global,
        };
        let densities = match self.densities {
            Some(DensitiesName::Uniform) => Densities::Uniform,
            Some(DensitiesName::Erk) | None => Densities::Erk,
        };
        let pretrained = self.pretrained.is_some();
        let move_share = |usual| self.move_share.unwrap_or(usual);
        Ok(match self.finder {
            FinderName::Imp => Box::new(Imp { prune_share: self.prune_share.unwrap_or(PRUNE_SHARE), scope }),
            FinderName::Magnitude => Box::new(Magnitude { scope, pretrained }),
            FinderName::Random => Box::new(Random { densities }),
            FinderName::Snip => Box::new(Snip),
            FinderName::Grasp => Box::new(Grasp),
            FinderName::Synflow => Box::new(Synflow),
            FinderName::Rigl => Box::new(Rigl { densities, move_share: move_share(RIGL_SHARE) }),
            FinderName::Granet => Box::new(Granet { move_share: move_share(GRANET_SHARE) }),
            FinderName::Sap => Box::new(Sap { scope }),
            FinderName::EdgePopup => Box::new(EdgePopup { scope }),
            FinderName::Jackpot if !pretrained => return Err(Error::NotPretrained),
            FinderName::Jackpot => Box::new(Jackpot { scope }),
            FinderName::Bip => Box::new(Bip { scope, pretrained }),
            FinderName::Nm => Box::new(Nm { pattern: self.pattern() }),
            FinderName::ClassAware => Box::new(ClassAware),
            FinderName::Channel => Box::new(Channel { scope }),
        })
    }

    /// Share to prune.
    pub(crate) fn sparsity(&self) -> f64 {
        match self.finder {
            FinderName::Nm => self.pattern().sparsity(),
            _ => self.sparsity.unwrap_or(SPARSITY),
        }
    }

    fn pattern(&self) -> Pattern {
        self.n_of_m.unwrap_or(Pattern::new(2, 4).expect("2 of 4 is a pattern"))
    }

    /// Epoch to rewind to.
    pub(crate) fn rewind(&self, epochs: u32) -> u32 {
        if self.no_rewind { 0 } else { self.rewind.unwrap_or_else(|| Aim::usual_rewind(epochs)) }
    }

    /// Whether anything is trained.
    pub(crate) fn trains(&self) -> bool {
        match self.finder {
            FinderName::Random | FinderName::Snip | FinderName::Grasp | FinderName::Synflow => false,
            FinderName::Magnitude => self.pretrained.is_none(),
            _ => true,
        }
    }

    /// Whether the ticket has the weights of the rewinding epoch.
    pub(crate) fn rewinds(&self) -> bool {
        self.pretrained.is_none() && self.finder.rewinds()
    }

    /// Which of these options are given in vain, and why.
    pub(crate) fn unused(&self) -> Vec<(&'static str, Error)> {
        let given = [
            ("--sparsity", self.sparsity.is_some()),
            ("--prune-share", self.prune_share.is_some()),
            ("--rewind", self.rewind.is_some()),
            ("--no-rewind", self.no_rewind),
            ("--scope", self.scope.is_some()),
            ("--densities", self.densities.is_some()),
            ("--move-share", self.move_share.is_some()),
            ("--n-of-m", self.n_of_m.is_some()),
            ("--pretrained", self.pretrained.is_some()),
        ];
        let why = |option| match option {
            _ if !self.finder.takes().contains(&option) => Some(self.not_taken(option)),
            "--rewind" | "--no-rewind" if self.pretrained.is_some() => Some(Error::NothingToRewind),
            _ => None,
        };
        given.into_iter().filter(|(_, given)| *given).filter_map(|(option, _)| Some((option, why(option)?))).collect()
    }

    /// An option of training, where nothing is trained.
    pub(crate) fn trains_nothing(&self, option: &'static str) -> Error {
        let with = if self.pretrained.is_some() { " with --pretrained" } else { "" };
        Error::TrainsNothing { option, finder: format!("the finder '{}'{with}", self.finder.in_words()) }
    }

    fn not_taken(&self, option: &'static str) -> Error {
        let all = FinderName::value_variants().iter();
        let takers = all.filter(|finder| finder.takes().contains(&option)).map(|finder| finder.in_words()).collect();
        Error::OtherFindersOption { option, finder: self.finder.in_words(), takers }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use counterfoil_train::Schedule;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        finder: FinderArgs,
    }

    #[test]
    fn what_trains_is_what_has_epochs() {
        let aim = Aim { schedule: Schedule::paper(4), sparsity: 0.5, rewind: 1, seed: 0 };
        for name in FinderName::value_variants() {
            for pretrained in [None, Some("--pretrained=m")] {
                let line = ["find".to_owned(), format!("--finder={}", name.in_words())];
                let args = Line::parse_from(line.into_iter().chain(pretrained.map(str::to_owned))).finder;
                if !args.unused().is_empty() {
                    continue;
                }
                let Ok(finder) = args.finder() else { continue };
                assert_eq!(args.trains(), finder.epochs(&aim).is_some(), "{name:?} {pretrained:?}");
            }
        }
    }
}
