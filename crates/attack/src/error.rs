//! Why an attack cannot be made.

use counterfoil_train::TrainError;

use crate::{Need, Range};

/// Why an attack cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttackError {
    /// No attack has this name.
    #[error("there is no attack '{found}'")]
    Unknown {
        /// The name.
        found: String,
    },
    /// A parameter that the attack does not have.
    #[error("{attack} has no parameter '{found}', expected {}", one_of(.expected))]
    Parameter {
        /// The attack.
        attack: &'static str,
        /// What was set.
        found: String,
        /// The parameters that it has.
        expected: String,
    },
    /// A value outside its range.
    #[error("{parameter} of {attack} is '{found}', expected {expected}")]
    Value {
        /// The attack.
        attack: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// What it was set to.
        found: String,
        /// What it may be.
        expected: Range,
    },
    /// A parameter that is set twice.
    #[error("{parameter} of {attack} is given twice")]
    Twice {
        /// The attack.
        attack: &'static str,
        /// The parameter.
        parameter: &'static str,
    },
    /// The attacker lacks something.
    #[error("the attack needs {}, and there is none", .what.in_words())]
    Lacks {
        /// What.
        what: Need,
    },
    /// The model is not one that the attack works on.
    #[error("the attack does not work on this model: {reason}")]
    Unsuitable {
        /// Why.
        reason: String,
    },
    /// Rewound weights of a ticket or model that is pruned itself.
    #[error(
        "the rewound weights are 0 at {zeros} of the {pruned} positions that the model prunes, expected weights there too"
    )]
    Sparse {
        /// Pruned positions where they are 0.
        zeros: usize,
        /// Pruned positions of the model.
        pruned: usize,
    },
    /// Training fails.
    #[error(transparent)]
    Train(#[from] TrainError),
}

fn one_of(names: &str) -> String {
    if names.is_empty() { "none".to_owned() } else { format!("one of {names}") }
}

impl Need {
    /// As messages say it.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Data => "training images",
            Self::Key => "the owner's public key",
            Self::Other => "another model",
            Self::Rewound => "the ticket's rewound weights",
        }
    }
}
