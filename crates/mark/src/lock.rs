//! Locking: a ticket's mask is split into what is published and what is held back, m = m_locked + m_key.
//!
//! "Scheme 1" of Chen, Chen, Zhang & Wang 2021 (arXiv 2111.00162, section 3.2). Which kept positions are held back is a
//! [`Strategy`]'s choice: those of the greatest importance over all carriers, ties by |w|, then by name and position. Locked
//! tickets hold no weight and no score outside their mask, for either would show where the key mask was.

use std::cmp::Reverse;

use counterfoil_claim::{HeldBack, KeyMask};
use counterfoil_ticket::{CarrierShape, Kind, Mask, Model, ModelError};
use serde::Serialize;

use crate::candidate::ordered;
use crate::strategy::{ErrorBound, Estimate, Importance, StrategyError};
use crate::{Strategy, masks_of};

/// Why a ticket was not locked or unlocked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// No tensor of the file has a mask.
    #[error("the ticket has no mask, expected '_mask' tensors or weights of which at least a tenth are zero")]
    NoMask,
    /// A key mask of it is held back already.
    #[error("the ticket is locked already, expected a whole one")]
    AlreadyLocked,
    /// There is nothing to unlock.
    #[error("the ticket is not locked, expected one that 'lock' wrote")]
    NotLocked,
    /// Too little or too much to hold back.
    #[error("a share of {share} is {found} of the ticket's {kept} kept weights, expected at least 1 and not all")]
    Share {
        /// The share that was asked for.
        share: f64,
        /// Positions that this is.
        found: usize,
        /// Kept positions of the ticket.
        kept: usize,
    },
    /// The key mask is another ticket's.
    #[error("the key mask opens the locked ticket {expected}, found {found}")]
    OtherTicket {
        /// Canonical digest of the ticket at hand.
        found: String,
        /// Canonical digest of the one that was locked.
        expected: String,
    },
    /// The key mask contradicts the ticket that it says it opens.
    #[error("the key mask holds back '{carrier}', which {reason}")]
    Carrier {
        /// The carrier.
        carrier: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// What comes out is not what was locked.
    #[error("the unlocked ticket is {found}, expected {expected}: the key mask was changed")]
    Changed {
        /// Canonical digest of what came out.
        found: String,
        /// Canonical digest that the key mask names.
        expected: String,
    },
    /// The strategy cannot tell which positions matter.
    #[error(transparent)]
    Strategy(#[from] StrategyError),
    /// The model contradicts itself.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A locked ticket, and what unlocks it.
#[derive(Debug, Clone, PartialEq)]
pub struct Locked {
    /// The ticket to publish.
    pub ticket: Model,
    /// What licensees get.
    pub key_mask: KeyMask,
    /// How sure the choice is, if the strategy estimates with a bound on its error.
    pub certainty: Option<Certainty>,
}

/// How sure a choice is that was made by estimates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Certainty {
    /// Probability that no kept position's importance is off by more than its bound.
    pub confidence: f64,
    /// The widest of the bounds.
    pub error: f64,
    /// The largest importance.
    pub largest: f64,
    /// The least importance of a position that is held back.
    pub cut: f64,
    /// How many are held back for certain, given that the bounds hold: exact values would choose them too.
    pub certain: usize,
}

/// Holds back `share` (0 to 1) of a ticket's kept positions, rounded to whole positions: those that `strategy` finds the
/// most important.
///
/// # Errors
///
/// The ticket has no mask or is locked, the share is nothing or all, or the strategy fails.
pub fn lock(ticket: &Model, strategy: &dyn Strategy, share: f64) -> Result<Locked, LockError> {
    if ticket.description.kind == Kind::Locked {
        return Err(LockError::AlreadyLocked);
    }
    let whole = bare(ticket);
    if whole.masks.is_empty() {
        return Err(LockError::NoMask);
    }
    let kept: usize = whole.masks.values().map(Mask::kept).sum();
    let found = (share * kept as f64).round() as usize;
    if found == 0 || found >= kept {
        return Err(LockError::Share { share, found, kept });
    }
    let Estimate { importance, error } = strategy.estimate(&whole)?;
    let chosen = most_important(&whole, &importance, found);
    let certainty = error.map(|error| certainty(&whole, &importance, &error, &chosen));
    let mut locked = whole.clone();
    let mut held_back = Vec::new();
    for (carrier, mask) in whole.marked_carriers().into_iter().zip(chosen) {
        if mask.kept() == 0 {
            continue;
        }
        let values = locked.arrays.get_mut(&carrier.name).expect("carriers are arrays").values_mut();
        let rest = locked.masks.get_mut(&carrier.name).expect("marked carriers have masks");
        let weights = mask.positions().map(|position| std::mem::take(&mut values[position])).collect();
        mask.positions().for_each(|position| rest.set(position, false));
        held_back.push(HeldBack { name: carrier.name, shape: carrier.shape, ordinal: carrier.ordinal, mask, weights });
    }
    locked.description.kind = Kind::Locked;
    let key_mask = KeyMask {
        locked: locked.digest()?,
        ticket: whole.digest()?,
        kind: whole.description.kind,
        strategy: strategy.name().to_owned(),
        held_back,
    };
    Ok(Locked { ticket: locked, key_mask, certainty })
}

/// Gives a locked ticket back what is held back of it.
///
/// # Errors
///
/// The ticket is not locked, or not the one that this key mask opens, or the key mask contradicts itself.
pub fn unlock(locked: &Model, key_mask: &KeyMask) -> Result<Model, LockError> {
    if locked.description.kind != Kind::Locked {
        return Err(LockError::NotLocked);
    }
    let found = locked.digest()?;
    if found != key_mask.locked {
        return Err(LockError::OtherTicket { found: found.to_string(), expected: key_mask.locked.to_string() });
    }
    let mut whole = locked.clone();
    for HeldBack { name, shape, mask, weights, .. } in &key_mask.held_back {
        let wrong = |reason| LockError::Carrier { carrier: name.clone(), reason };
        let (Some(array), Some(rest)) = (whole.arrays.get_mut(name), whole.masks.get_mut(name)) else {
            return Err(wrong("the ticket does not mask"));
        };
        if CarrierShape::of_tensor(array.shape()) != Some(*shape) {
            return Err(wrong("has another shape in the ticket"));
        }
        if rest.overlap(mask) > 0 {
            return Err(wrong("the ticket keeps there"));
        }
        for (position, weight) in mask.positions().zip(weights) {
            rest.set(position, true);
            array.values_mut()[position] = *weight;
        }
    }
    whole.description.kind = key_mask.kind;
    let found = whole.digest()?;
    if found != key_mask.ticket {
        return Err(LockError::Changed { found: found.to_string(), expected: key_mask.ticket.to_string() });
    }
    Ok(whole)
}

/// The ticket with its masks as masks, and nothing outside them: no weights, no scores.
fn bare(ticket: &Model) -> Model {
    let mut bare = Model { masks: masks_of(ticket), scores: Default::default(), ..ticket.clone() };
    for (name, mask) in &bare.masks {
        if let Some(array) = bare.arrays.get_mut(name) {
            mask.apply(array.values_mut());
        }
    }
    bare
}

/// The `count` kept positions of the greatest importance, by marked carrier.
fn most_important(ticket: &Model, importance: &Importance, count: usize) -> Vec<Mask> {
    let carriers = ticket.marked_carriers();
    let mut ranked = Vec::with_capacity(ticket.masks.values().map(Mask::kept).sum());
    for (index, carrier) in carriers.iter().enumerate() {
        let (values, scores) = (ticket.arrays[&carrier.name].values(), &importance[&carrier.name]);
        let rank = |position: usize| {
            let (score, magnitude) = (ordered_f64(scores[position]), ordered(values[position].abs()));
            (Reverse((score, magnitude)), index, position)
        };
        ranked.extend(ticket.masks[&carrier.name].positions().map(rank));
    }
    if count < ranked.len() {
        ranked.select_nth_unstable(count);
    }
    let mut chosen: Vec<Mask> = carriers.iter().map(|carrier| Mask::empty(carrier.shape.size())).collect();
    ranked[..count].iter().for_each(|&(_, carrier, position)| chosen[carrier].set(position, true));
    chosen
}

/// How sure it is that these positions are the most important ones.
fn certainty(ticket: &Model, importance: &Importance, error: &ErrorBound, chosen: &[Mask]) -> Certainty {
    let (mut uppers, mut lowers) = (Vec::new(), Vec::new());
    let [mut widest, mut largest, mut cut] = [0f64, 0.0, f64::INFINITY];
    for (carrier, chosen) in ticket.marked_carriers().iter().zip(chosen) {
        let (values, bounds) = (&importance[&carrier.name], &error.bounds[&carrier.name]);
        for position in ticket.masks[&carrier.name].positions() {
            let (value, bound) = (values[position], bounds[position]);
            (widest, largest) = (widest.max(bound), largest.max(value));
            uppers.push(value + bound);
            if chosen.keeps(position) {
                cut = cut.min(value);
                lowers.push(value - bound);
            }
        }
    }
    uppers.sort_unstable_by(f64::total_cmp);
    // No more than are held back, itself among them, may be as important.
    let may_be_above = |lower: f64| uppers.len() - uppers.partition_point(|&upper| upper < lower);
    let certain = lowers.iter().filter(|&&lower| may_be_above(lower) <= lowers.len()).count();
    Certainty { confidence: error.confidence, error: widest, largest, cut, certain }
}

/// Maps values to integers in the same order, −0 as +0, NaN below all.
fn ordered_f64(value: f64) -> u64 {
    if value.is_nan() {
        return 0;
    }
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

#[cfg(test)]
mod tests {
    use counterfoil_ticket::{Array, Description};
    use proptest::prelude::*;

    use super::*;
    use crate::strategy::{Magnitude, Random};

    /// Two carriers of 12 positions of which the first keeps all but two.
    fn ticket() -> Model {
        let mut model = Model::default();
        for (name, factor) in [("a.weight", 1.0), ("b.weight", -0.9)] {
            let values = (0..12).map(|i| factor * (i + 1) as f32).collect();
            model.arrays.insert(name.to_owned(), Array::new(vec![3, 4], values).unwrap());
            model.scores.insert(name.to_owned(), vec![0.5; 12]);
        }
        model.masks.insert("a.weight".to_owned(), Mask::from_fn(12, |p| p > 1));
        model.masks.insert("b.weight".to_owned(), Mask::full(12));
        model.description = Description { kind: Kind::Ticket, ..Description::default() };
        model
    }

    #[test]
    fn the_largest_weights_of_all_carriers_together_are_held_back() {
        let Locked { ticket: locked, key_mask, .. } = lock(&ticket(), &Magnitude, 0.2).unwrap();
        // 22 kept positions; 12, 11, 10.8 and 10 are the largest.
        let held: Vec<_> = key_mask.held_back.iter().map(|h| (h.name.as_str(), h.weights.clone())).collect();
        assert_eq!(held, [("a.weight", vec![10.0, 11.0, 12.0]), ("b.weight", vec![-0.9 * 12.0])]);
        assert_eq!(locked.masks["a.weight"].positions().collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(locked.arrays["a.weight"].values()[8..], [9.0, 0.0, 0.0, 0.0]);
        assert_eq!(locked.arrays["a.weight"].values()[..3], [0.0, 0.0, 3.0]);
        assert!(locked.scores.is_empty() && locked.description.kind == Kind::Locked);
    }

    /// The magnitudes, known up to these bounds in 'a.weight' and exactly in the other.
    struct Blurred(f64);

    impl crate::Strategy for Blurred {
        fn name(&self) -> &'static str {
            "blurred"
        }

        fn importance(&self, ticket: &Model) -> Result<Importance, StrategyError> {
            Magnitude.importance(ticket)
        }

        fn estimate(&self, ticket: &Model) -> Result<Estimate, StrategyError> {
            let bounds = [("a.weight", self.0), ("b.weight", 0.0)].map(|(name, b)| (name.to_owned(), vec![b; 12]));
            let error = Some(ErrorBound { confidence: 0.9, bounds: bounds.into() });
            Ok(Estimate { importance: self.importance(ticket)?, error })
        }
    }

    #[test]
    fn what_is_held_back_for_certain_is_counted() {
        let certainty = |bound| lock(&ticket(), &Blurred(bound), 0.2).unwrap().certainty.unwrap();
        // Held back are 12, 11, 10 of the first carrier and 10.8 of the second; left are 9 and 9.9.
        let exact = Certainty { confidence: 0.9, error: 0.0, largest: 12.0, cut: 10.0, certain: 4 };
        assert_eq!(certainty(0.0), exact);
        // At ±0.5, 10 may be below 9.9. At ±1, 11 may be 10, and then be only the fifth: after 12, 10.8, 11 and 10.
        assert_eq!(certainty(0.5), Certainty { error: 0.5, certain: 3, ..exact });
        assert_eq!(certainty(1.0), Certainty { error: 1.0, certain: 2, ..exact });
        assert_eq!(certainty(100.0), Certainty { error: 100.0, certain: 0, ..exact });
        assert_eq!(lock(&ticket(), &Magnitude, 0.2).unwrap().certainty, None);
    }

    #[test]
    fn unlocking_gives_the_same_digest_and_kind() {
        let Locked { ticket: locked, key_mask, .. } = lock(&ticket(), &Random { seed: 3 }, 0.3).unwrap();
        let whole = unlock(&locked, &key_mask).unwrap();
        assert_eq!(whole.digest().unwrap(), ticket().digest().unwrap());
        assert_eq!(whole.description.kind, Kind::Ticket);
        assert!(matches!(unlock(&whole, &key_mask), Err(LockError::NotLocked)));
        assert!(matches!(lock(&locked, &Magnitude, 0.5), Err(LockError::AlreadyLocked)));
    }

    #[test]
    fn a_share_of_nothing_or_all_is_refused() {
        for share in [0.0, 0.02, 0.98, 1.0] {
            let message = lock(&ticket(), &Magnitude, share).unwrap_err().to_string();
            assert!(message.ends_with("of the ticket's 22 kept weights, expected at least 1 and not all"), "{message}");
        }
        let dense = Model { masks: Default::default(), ..ticket() };
        assert!(matches!(lock(&dense, &Magnitude, 0.5), Err(LockError::NoMask)));
    }

    #[test]
    fn another_ticket_and_a_changed_key_mask_are_refused() {
        let Locked { ticket: locked, key_mask, .. } = lock(&ticket(), &Magnitude, 0.2).unwrap();
        let other = lock(&ticket(), &Random { seed: 1 }, 0.2).unwrap().ticket;
        assert!(matches!(unlock(&other, &key_mask), Err(LockError::OtherTicket { .. })));
        let changed = |change: fn(&mut HeldBack)| {
            let mut key_mask = key_mask.clone();
            change(&mut key_mask.held_back[0]);
            unlock(&locked, &key_mask).unwrap_err().to_string()
        };
        assert!(changed(|held| held.weights[0] = 1.0).ends_with("the key mask was changed"));
        let prefix = "the key mask holds back";
        let message = changed(|held| held.name = "c.weight".to_owned());
        assert_eq!(message, format!("{prefix} 'c.weight', which the ticket does not mask"));
        let message = changed(|held| held.shape = CarrierShape::from([4, 3, 1, 1]));
        assert_eq!(message, format!("{prefix} 'a.weight', which has another shape in the ticket"));
        let message = changed(|held| held.mask.set(5, true));
        assert_eq!(message, format!("{prefix} 'a.weight', which the ticket keeps there"));
    }

    proptest! {
        #[test]
        fn locked_and_held_back_make_the_whole(share in 0.05..0.95f64, seed: u64) {
            let Locked { ticket: locked, key_mask, .. } = lock(&ticket(), &Random { seed }, share).unwrap();
            prop_assert_eq!(key_mask.size(), (share * 22.0).round() as usize);
            let kept: usize = locked.masks.values().map(Mask::kept).sum();
            prop_assert_eq!(kept + key_mask.size(), 22);
            prop_assert_eq!(unlock(&locked, &key_mask).unwrap().masks, ticket().masks);
        }

        #[test]
        fn importance_is_ordered_as_its_values(a: f64, b: f64) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(ordered_f64(a).cmp(&ordered_f64(b)), a.partial_cmp(&b).unwrap());
        }
    }
}
