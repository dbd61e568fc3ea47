//! Strategies: which kept positions of a ticket its key mask should hold back.
//!
//! One a file behind one trait. Those of Chen et al. 2021 (arXiv 2111.00162, section 3.2) that need nothing but the ticket
//! are here; those that need gradients are in crate `train`.

mod betweenness;
mod kernels;
mod magnitude;
mod paths;
mod random;

use std::collections::BTreeMap;

use counterfoil_graph::GraphError;
use counterfoil_ticket::Model;

pub use betweenness::Betweenness;
pub use magnitude::Magnitude;
pub use paths::Paths;
pub use random::Random;

/// How much each position of each masked tensor matters, by name and flat position; higher is held back first. Only values
/// of kept positions count; NaN matters least.
pub type Importance = BTreeMap<String, Vec<f64>>;

/// What a strategy says, and how far that may be off.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// How much each position matters.
    pub importance: Importance,
    /// How far that may be off, if it is estimated with a proven bound.
    pub error: Option<ErrorBound>,
}

/// How far an estimated importance may be off.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorBound {
    /// Probability that all bounds hold.
    pub confidence: f64,
    /// The bound at each position, by name and flat position.
    pub bounds: Importance,
}

/// Why a strategy cannot tell which positions matter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StrategyError {
    /// A strategy that follows the network's wiring, and a ticket that does not say what it is.
    #[error("the ticket does not say which network it is, expected an architecture in its description")]
    NoArchitecture,
    /// The masks do not fit the architecture.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A strategy that asks the network failed.
    #[error(transparent)]
    Network(Box<dyn std::error::Error + Send + Sync>),
}

/// Which kept positions of a ticket matter most.
pub trait Strategy {
    /// Its name, as it is recorded in key masks.
    fn name(&self) -> &'static str;

    /// The importance of all positions of all tensors that have a mask. `ticket` holds no weights outside its masks.
    ///
    /// # Errors
    ///
    /// Whatever keeps the strategy from telling.
    fn importance(&self, ticket: &Model) -> Result<Importance, StrategyError>;

    /// The same, with the bound on its error if it has one.
    ///
    /// # Errors
    ///
    /// As [`Strategy::importance`].
    fn estimate(&self, ticket: &Model) -> Result<Estimate, StrategyError> {
        Ok(Estimate { importance: self.importance(ticket)?, error: None })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use counterfoil_ticket::{Architecture, Array, Description, ImageShape, Kind, Mask};

    use super::*;

    /// Two pixels, two hidden neurons, one class behind a dense layer: pixel 0 leads to both, strongly to the second.
    fn ticket() -> Model {
        let input = ImageShape { channels: 1, height: 1, width: 2 };
        let architecture = Architecture::Mlp { input, hidden: vec![2], classes: 1 };
        let description =
            Description { kind: Kind::Ticket, architecture: Some(architecture), ..Description::default() };
        let mut model = Model { description, ..Model::default() };
        let weights =
            [("fc1.weight", vec![2, 2], vec![1.0, 0.0, -3.0, 0.0]), ("fc2.weight", vec![1, 2], vec![2.0, 2.0])];
        for (name, shape, values) in weights {
            model.arrays.insert(name.to_owned(), Array::new(shape, values).unwrap());
        }
        model.masks.insert("fc1.weight".to_owned(), Mask::from_fn(4, |p| p % 2 == 0));
        model
    }

    #[test]
    fn betweenness_counts_shortest_paths_over_kept_kernels() {
        let importance = Betweenness::exact().importance(&ticket()).unwrap();
        // Pixel 0 to hidden 0, to hidden 1, and to the class by hidden 1 (1/3 + 1/2 instead of 1 + 1/2).
        assert_eq!(importance["fc1.weight"], [1.0, 0.0, 2.0, 0.0]);
        let all = NonZeroUsize::new(1000).unwrap();
        let sampled = Betweenness { sampled: Some((all, 1)) }.estimate(&ticket()).unwrap();
        assert_eq!(sampled, Estimate { importance, error: None });
    }

    #[test]
    fn sampled_betweenness_is_not_off_by_more_than_its_bounds() {
        let exact = Betweenness::exact().importance(&ticket()).unwrap();
        let three = NonZeroUsize::new(3).unwrap(); // of five channels
        for seed in 0..10 {
            let Estimate { importance, error } =
                Betweenness { sampled: Some((three, seed)) }.estimate(&ticket()).unwrap();
            let bounds = &error.unwrap().bounds["fc1.weight"];
            for (position, bound) in bounds.iter().enumerate() {
                let [exact, found] = [&exact, &importance].map(|values| values["fc1.weight"][position]);
                // From so few sources the bounds are those that are certain, not those that are likely.
                assert!((exact - found).abs() <= *bound, "seed {seed}: {found} is further than {bound} from {exact}");
            }
            assert!(bounds[0] > 0.0 && bounds[1] == 0.0, "{bounds:?}");
        }
    }

    #[test]
    fn paths_follow_weights_or_not() {
        let counts = |paths: Paths| paths.importance(&ticket()).unwrap()["fc1.weight"].clone();
        let ewp = counts(Paths { paths: 10_000, ..Paths::ewp(1) });
        // 3 of 4 go by the stronger kernel; five standard deviations of a binomial are 217.
        assert!((ewp[2] - 7500.0).abs() < 217.0 && ewp[0] + ewp[2] == 10_000.0, "{ewp:?}");
        let plain = counts(Paths { paths: 10_000, ..Paths::random(1) });
        assert!((plain[2] - 5000.0).abs() < 250.0 && plain[0] + plain[2] == 10_000.0, "{plain:?}");
    }

    #[test]
    fn without_an_architecture_there_is_no_graph() {
        let mut unknown = ticket();
        unknown.description.architecture = None;
        for strategy in [&Betweenness::exact() as &dyn Strategy, &Paths::ewp(0), &Paths::random(0)] {
            assert!(matches!(strategy.importance(&unknown), Err(StrategyError::NoArchitecture)));
        }
    }
}
