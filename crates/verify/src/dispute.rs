//! Disputes: which of two owners' marks was there first.
//!
//! A suspect that was stamped twice carries both marks, and neither test says in which order. The tickets do that the claims
//! are about, the *originals* (Craver et al. 1998, "Resolving rightful ownerships with invisible watermarking techniques",
//! IEEE JSAC 16(4)): who stamped over somebody else's ticket has that mark inside his own original, and his mark is not
//! inside the other's, which was finished before. Implements docs/protocol.md, "Disputes".
//!
//! An original is fixed by the canonical digest in its claim, so it cannot be chosen once the claim is made. What a claim
//! says about its time decides nothing.

use counterfoil_claim::{OpenedPanel, VerifiedClaim};
use counterfoil_mark::Log2P;
use counterfoil_ticket::{Carrier, Digest, Mask, ModelFile};
use serde::Serialize;

use crate::verify::{Examined, examine};
use crate::{Evidence, Level, Options, Overlap, Report, Tests, Verdict, VerifyError};

/// Version of the JSON form of a [`DisputeReport`].
pub const DISPUTE_VERSION: u32 = 1;

/// A suspect is said to be like one original if it is less than this share as like the other.
const FAR_LESS: f64 = 0.5;

/// A stamped ticket that somebody shows as the one that a claim is about.
pub struct Original {
    file: ModelFile,
    digest: Digest,
    masks: Vec<(Carrier, Mask)>,
}

impl Original {
    /// Reads the whole file for its canonical digest, which no file can only say it has.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Read`] and [`VerifyError::Model`].
    pub fn read(file: ModelFile) -> Result<Self, VerifyError> {
        let mut model = file.read()?;
        let digest = model.digest()?;
        let carriers = model.marked_carriers().into_iter();
        let masks = carriers.filter_map(|carrier| model.masks.remove(&carrier.name).map(|mask| (carrier, mask)));
        Ok(Self { masks: masks.collect(), file, digest })
    }

    /// The file.
    pub fn file(&self) -> &ModelFile {
        &self.file
    }

    /// The canonical digest of the ticket.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// One side of a dispute, and what it shows.
#[derive(Clone, Copy)]
pub struct Party<'a> {
    /// Its claim.
    pub claim: &'a VerifiedClaim,
    /// Sealed panels, opened under this claim; each at most once.
    pub disclosures: &'a [OpenedPanel],
    /// The ticket that the claim is about.
    pub original: Option<&'a Original>,
}

/// Which party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Side {
    /// The one named first.
    A,
    /// The other.
    B,
}

impl Side {
    /// "A" or "B".
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }

    /// The opponent.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Whether a party's sealed mark is inside the other's original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// It is `proven` there. Panel 0 can be imitated by anybody, and never counts.
    Inside,
    /// The sealed panels that were disclosed would have shown it, and do not.
    NotInside,
    /// They are too little to tell.
    Unclear,
    /// The party has disclosed no panel, or the other has shown no original.
    Untested,
}

/// What the originals say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// One party's mark is inside the other's original and not the other way round: it was first. The only one that
    /// decides.
    OneInside,
    /// Each mark is inside the other's original, so that neither can have been there before the other.
    BothInside,
    /// Neither is: the originals have nothing to do with each other.
    NeitherInside,
    /// At least one of the two tests cannot tell.
    Unclear,
    /// At least one of the two tests could not be made.
    Incomplete,
}

impl Outcome {
    fn of(findings: [Finding; 2]) -> (Self, Option<Side>) {
        match findings {
            [Finding::Inside, Finding::NotInside] => (Self::OneInside, Some(Side::A)),
            [Finding::NotInside, Finding::Inside] => (Self::OneInside, Some(Side::B)),
            [Finding::Inside, Finding::Inside] => (Self::BothInside, None),
            [Finding::NotInside, Finding::NotInside] => (Self::NeitherInside, None),
            [Finding::Untested, _] | [_, Finding::Untested] => (Self::Incomplete, None),
            [Finding::Unclear, _] | [_, Finding::Unclear] => (Self::Unclear, None),
        }
    }
}

/// Something that a party may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Piece {
    /// The ticket that its claim is about.
    Original,
    /// A sealed panel of its claim.
    Disclosure,
}

/// Something that a party has not shown, and that a test takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The party.
    pub side: Side,
    /// What.
    pub piece: Piece,
}

/// The outcome of one dispute. Data only, as [`Report`]; its JSON form is in docs/formats-report.md, "Dispute".
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DisputeReport {
    /// [`DISPUTE_VERSION`].
    pub version: u32,
    /// What the originals say.
    pub outcome: Outcome,
    /// Whose mark was there first; null if that is undecided.
    pub first: Option<Side>,
    /// θ: what log2 p had to reach in each test.
    pub threshold: Log2P,
    /// A, then B.
    pub parties: [PartyReport; 2],
    /// Whose original the suspect's mask is like, and far more than the other's. Corroboration only.
    pub like: Option<Side>,
    /// What a test would have taken, and nobody has shown.
    pub missing: Vec<Missing>,
    /// What the outcome rests on beside arithmetic; one sentence each.
    pub assumptions: Vec<String>,
    /// If undecided, what would decide; one phrase each.
    pub would_decide: Vec<String>,
}

/// One party's claim, and where its mark is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartyReport {
    /// A or B.
    pub side: Side,
    /// Id of the key that signed the claim.
    pub key: String,
    /// SHA-256 of the claim's payload, hexadecimal.
    pub claim: String,
    /// Canonical digest of the ticket that the claim is about, hexadecimal.
    pub ticket: String,
    /// When it was made, by the claim's own account. Nothing is decided by it.
    pub created: String,
    /// Whether its mark is inside the other's original.
    pub finding: Finding,
    /// The verification that says so; null if untested. Its `reference` compares the two originals.
    pub in_other: Option<Report>,
    /// The verification of this claim on the suspect; null without one. Its `reference` compares the suspect with this
    /// party's original.
    pub in_suspect: Option<Report>,
}

/// Says which of two marks was there first, if their originals tell.
///
/// Each claim is tested on the other's original, by masks and disclosed sealed panels alone, and pays for what it could have
/// chosen to fit it. Channels are aligned with the party's own original, if that is shown and its masks are the claim's. A
/// suspect is looked at for corroboration: it changes nothing in the outcome.
///
/// # Errors
///
/// About what was handed in; what is missing is no error, but leaves the dispute undecided.
pub fn dispute(
    parties: [Party; 2],
    suspect: Option<&ModelFile>,
    threshold: Log2P,
) -> Result<DisputeReport, VerifyError> {
    let options = Options { threshold, tests: Tests::Mask, align: false, claim_is_older: false };
    options.check(true, false)?;
    let [a, b] = parties;
    if a.claim.digest() == b.claim.digest() {
        return Err(VerifyError::SameClaim { claim: (*a.claim.digest()).into() });
    }
    for Party { claim, original, .. } in &parties {
        let expected = claim.body().subject.digest;
        if let Some(found) = original.map(Original::digest).filter(|found| *found != expected) {
            return Err(VerifyError::OtherOriginal { found, expected });
        }
    }

    let parties_and_reports = [
        (a, PartyReport::new(Side::A, &a, &b, suspect, &options)?),
        (b, PartyReport::new(Side::B, &b, &a, suspect, &options)?),
    ];
    let (outcome, first) = Outcome::of(parties_and_reports.each_ref().map(|(_, report)| report.finding));
    let would_decide = would_decide(outcome, &parties_and_reports, suspect.is_some());
    let missing = parties_and_reports.iter().flat_map(|(party, report)| party.missing(report.side)).collect();
    let reports = parties_and_reports.map(|(_, report)| report);
    Ok(DisputeReport {
        version: DISPUTE_VERSION,
        outcome,
        first,
        threshold,
        like: like(&reports, threshold),
        missing,
        assumptions: assumptions(suspect.is_some(), threshold),
        would_decide,
        parties: reports,
    })
}

impl Party<'_> {
    /// Its evidence, with its original as what masks are compared with.
    fn evidence(&self) -> Evidence<'_> {
        let reference = self.original.map(|original| original.masks.as_slice());
        Evidence { reference, ..Evidence::claimed(self.claim, self.disclosures) }
    }

    /// Whether its original's masks are those of its claim, and there is something to look for under permuted channels. What the
    /// digest covers its owner has chosen; masks that are not the claim's could be chosen for the other's original, layer by
    /// layer.
    fn has_reference(&self) -> bool {
        let claimed = || self.claim.body().carriers.iter().map(|c| (c.carrier(), c.kept));
        let held = |(carrier, mask): &(Carrier, Mask)| (carrier.clone(), mask.kept() as u64);
        let is_of_claim = |original: &Original| original.masks.iter().map(held).eq(claimed());
        !self.disclosures.is_empty() && self.original.is_some_and(is_of_claim)
    }

    fn missing(&self, side: Side) -> impl Iterator<Item = Missing> + use<> {
        let original = self.original.is_none().then_some(Piece::Original);
        let disclosure = self.disclosures.is_empty().then_some(Piece::Disclosure);
        original.into_iter().chain(disclosure).map(move |piece| Missing { side, piece })
    }
}

impl PartyReport {
    fn new(
        side: Side,
        party: &Party,
        other: &Party,
        suspect: Option<&ModelFile>,
        options: &Options,
    ) -> Result<Self, VerifyError> {
        let options = Options { align: party.has_reference(), ..*options };
        let look = |file: &ModelFile| examine(Some(file), None, &party.evidence(), &options, &[Level::Sealed]);
        let original = other.original.filter(|_| !party.disclosures.is_empty());
        let examined = original.map(|original| look(&original.file)).transpose()?;
        Ok(Self {
            side,
            key: party.claim.key().key_id(),
            claim: Digest::from(*party.claim.digest()).to_string(),
            ticket: party.claim.body().subject.digest.to_string(),
            created: party.claim.body().created.clone(),
            finding: match &examined {
                None => Finding::Untested,
                Some(Examined { report, .. }) if report.verdict == Verdict::Proven => Finding::Inside,
                Some(examined) if examined.is_sealed_absent() => Finding::NotInside,
                Some(_) => Finding::Unclear,
            },
            in_other: examined.map(|examined| examined.report),
            in_suspect: suspect.map(|suspect| Ok::<_, VerifyError>(look(suspect)?.report)).transpose()?,
        })
    }
}

/// Whose original the suspect is like, under the null that it keeps positions at random, if it is far less like the other,
/// aligned or not.
fn like(parties: &[PartyReport; 2], threshold: Log2P) -> Option<Side> {
    let likenesses = |party: &PartyReport| {
        let report = party.in_suspect.as_ref()?;
        let overlap = report.reference?;
        let aligned = report.tests.iter().filter_map(|test| test.alignment.as_ref()).map(|found| found.similarity);
        Some((overlap, aligned.fold(overlap.likeness(), f64::max)))
    };
    let [a, b] = [likenesses(&parties[0])?, likenesses(&parties[1])?];
    let is_clear = |(one, _): &(Overlap, f64), (_, other): &(Overlap, f64)| {
        one.log2_p <= threshold && *other < FAR_LESS * one.likeness()
    };
    if is_clear(&a, &b) {
        Some(Side::A)
    } else if is_clear(&b, &a) {
        Some(Side::B)
    } else {
        None
    }
}

fn assumptions(has_suspect: bool, threshold: Log2P) -> Vec<String> {
    let mut assumptions = vec![
        format!(
            "a claimant who tried 2^k keys or seeds on the other's original gains k bits; the threshold of {threshold} bits \
             has to cover them"
        ),
        "each shows the earliest claim that it has: the originals order these two claims, and no others".to_owned(),
        "when a claim says that it was made is its owner's word, and decides nothing".to_owned(),
    ];
    if has_suspect {
        assumptions.push(
            "likeness of masks is corroboration: two who prune one public checkpoint get similar ones".to_owned(),
        );
    }
    assumptions
}

fn would_decide(outcome: Outcome, parties: &[(Party, PartyReport); 2], has_suspect: bool) -> Vec<String> {
    const DATE: &str = "a date of one of the claims' digests that somebody else has witnessed";
    let mut phrases = Vec::new();
    for (party, report) in parties {
        let (side, ticket) = (report.side.name(), &report.ticket);
        let has_open_question = matches!(report.finding, Finding::Unclear);
        for Missing { piece, .. } in party.missing(report.side) {
            phrases.push(match piece {
                Piece::Original => format!("{side}'s original: the stamped ticket with the canonical digest {ticket}"),
                Piece::Disclosure => format!("a disclosure of a sealed panel of {side}'s claim"),
            });
        }
        let (disclosed, all) = (party.disclosures.len(), party.claim.body().sealed_panels.get());
        if has_open_question && disclosed < usize::from(all) {
            phrases.push(format!(
                "disclosures of more sealed panels of {side}'s claim: {disclosed} of {all} are disclosed"
            ));
        }
    }
    match outcome {
        Outcome::OneInside => return Vec::new(),
        Outcome::BothInside | Outcome::Unclear => phrases.push(DATE.to_owned()),
        Outcome::NeitherInside => {
            if !has_suspect {
                phrases.push("a suspect: its mask may be like one of the originals (corroboration only)".to_owned());
            }
            phrases.push(format!("{DATE}, before the suspect or the other's original was made public"));
        }
        Outcome::Incomplete => {}
    }
    phrases
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Finding; 4] = [Finding::Inside, Finding::NotInside, Finding::Unclear, Finding::Untested];

    #[test]
    fn only_one_inside_and_the_other_outside_decides() {
        for (i, a) in ALL.into_iter().enumerate() {
            for (k, b) in ALL.into_iter().enumerate() {
                let (outcome, first) = Outcome::of([a, b]);
                let expected = match (i, k) {
                    (0, 1) => Some(Side::A),
                    (1, 0) => Some(Side::B),
                    _ => None,
                };
                assert_eq!((first, outcome == Outcome::OneInside), (expected, expected.is_some()), "{a:?} {b:?}");
                let (mirrored, swapped) = Outcome::of([b, a]);
                assert_eq!((mirrored, swapped), (outcome, first.map(Side::other)), "{a:?} {b:?}");
            }
        }
        assert_eq!(Outcome::of([Finding::Inside, Finding::Untested]).0, Outcome::Incomplete);
        assert_eq!(Outcome::of([Finding::Unclear, Finding::Untested]).0, Outcome::Incomplete);
        assert_eq!(Outcome::of([Finding::Inside, Finding::Unclear]).0, Outcome::Unclear);
    }
}
