//! What a verifier holds in hand, and what it is asked to do.

use counterfoil_claim::{OpenedPanel, PublicKey, VerifiedClaim};
use counterfoil_mark::Log2P;
use counterfoil_ticket::{Carrier, Mask};

use crate::VerifyError;

/// θ unless asked otherwise, in bits: a claimant who tries 2³² keys still has p = 2⁻³² (docs/protocol.md, "Verdicts").
pub const DEFAULT_THRESHOLD: f64 = -64.0;

/// The weakest threshold that is taken, in bits.
const WEAKEST_THRESHOLD: f64 = -1.0;

/// What speaks for the owner. Unless [`Options::claim_is_older`], it may have been made when the suspect was there.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// The owner's public key, from which panel 0 derives.
    pub key: &'a PublicKey,
    /// A claim signed by this key.
    pub claim: Option<&'a VerifiedClaim>,
    /// Sealed panels, opened under this claim; each at most once, in any order.
    pub disclosures: &'a [OpenedPanel],
    /// The owner's reference mask, if it is shown: corroboration, see [`Overlap`](crate::Overlap),
    /// and what permuted channels are aligned with if [`Options::align`] asks for it. The caller has
    /// checked it against the claim's commitment. Needs a claim, and is ignored without.
    pub reference: Option<&'a [(Carrier, Mask)]>,
}

impl<'a> Evidence<'a> {
    /// Nothing but the key: enough for [`Verdict::Marked`](crate::Verdict::Marked).
    pub fn key_alone(key: &'a PublicKey) -> Self {
        Self { key, claim: None, disclosures: &[], reference: None }
    }

    /// A claim and, for [`Verdict::Proven`](crate::Verdict::Proven), disclosures.
    pub fn claimed(claim: &'a VerifiedClaim, disclosures: &'a [OpenedPanel]) -> Self {
        Self { key: claim.key(), claim: Some(claim), disclosures, reference: None }
    }
}

/// Which tests are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tests {
    /// The mask test only.
    Mask,
    /// The trigger test only.
    Triggers,
    /// Whatever the suspect given allows.
    #[default]
    Both,
}

impl Tests {
    pub(crate) fn mask(self) -> bool {
        self != Self::Triggers
    }

    pub(crate) fn triggers(self) -> bool {
        self != Self::Mask
    }
}

/// What is asked of the verifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// θ: what log2 p must reach after charges; at most −1.
    pub threshold: Log2P,
    /// Which tests are made.
    pub tests: Tests,
    /// Whether the mark is also looked for under permuted channels, where it is not found in place. Needs a claim and its
    /// reference mask.
    pub align: bool,
    /// Whether the verifier has established that the claim was fixed before the suspect existed, for instance by a digest that
    /// somebody else witnessed. Otherwise tests pay for what could have been chosen to fit the suspect (docs/protocol.md,
    /// "Choices"), an aligned test for every alignment that there could have been.
    pub claim_is_older: bool,
}

impl Default for Options {
    fn default() -> Self {
        let threshold = Log2P::new(DEFAULT_THRESHOLD).expect("the default is finite and below 0");
        Self { threshold, tests: Tests::default(), align: false, claim_is_older: false }
    }
}

impl Options {
    /// Whether the threshold is one, and at least one of the tests can be made on what was given.
    pub(crate) fn check(&self, has_file: bool, has_black_box: bool) -> Result<(), VerifyError> {
        if self.threshold.bits() > WEAKEST_THRESHOLD {
            return Err(VerifyError::Threshold { found: self.threshold });
        }
        let (enough, expected) = match self.tests {
            Tests::Mask => (has_file, "a model file"),
            Tests::Triggers => (has_black_box, "a black box"),
            Tests::Both => (has_file || has_black_box, "a model file or a black box"),
        };
        if enough { Ok(()) } else { Err(VerifyError::NoSuspect { expected }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_of_tests_needs_its_kind_of_suspect() {
        let expected = |tests, file, black_box| match (Options { tests, ..Options::default() }).check(file, black_box) {
            Ok(()) => None,
            Err(VerifyError::NoSuspect { expected }) => Some(expected),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(expected(Tests::Mask, false, true), Some("a model file"));
        assert_eq!(expected(Tests::Triggers, true, false), Some("a black box"));
        assert_eq!(expected(Tests::Both, false, false), Some("a model file or a black box"));
        for (tests, file) in [(Tests::Mask, true), (Tests::Triggers, false), (Tests::Both, true), (Tests::Both, false)]
        {
            assert_eq!(expected(tests, file, !file), None);
        }
    }

    #[test]
    fn a_threshold_that_anything_passes_is_refused() {
        for (bits, taken) in [(0.0, false), (-0.5, false), (-1.0, true), (-64.0, true)] {
            let options = Options { threshold: Log2P::new(bits).unwrap(), ..Options::default() };
            match options.check(true, true) {
                Ok(()) => assert!(taken, "{bits}"),
                Err(VerifyError::Threshold { found }) => assert!(!taken && found.bits() == bits, "{bits}"),
                Err(other) => panic!("{other}"),
            }
        }
    }
}
