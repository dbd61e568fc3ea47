//! `dispute`: which of two owners' marks was there first.

use std::path::{Path, PathBuf};

use counterfoil_claim::{ClaimError, DisclosureError, OpenedPanel, PublicKey, VerifiedClaim};
use counterfoil_mark::Log2P;
use counterfoil_ticket::{Digest, ModelFile};
use counterfoil_verify::{DisputeReport, Original, Outcome, Party, VerifyError, dispute};

use crate::dispute_text::in_words;
use crate::output::{print, print_json};
use crate::progress::Waiting;
use crate::{Error, Exit, open, value};

/// Say which of two owners' marks was there first
///
/// Both may be proven on one model, if one owner stamped what the other had stamped. The originals tell: the tickets that
/// the two claims are about. Whoever stamped second has the first mark inside his own original, and his mark is not inside
/// the other's. Claims are matched to keys, disclosures and originals to claims, in any order; what is missing leaves the
/// dispute undecided. Exit codes: 0 decided, 3 undecided, 2 bad input.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil dispute suspect.bin --key alice.pub --key bob.pub \\
      --claim alice.claim.json --claim bob.claim.json \\
      --disclosure alice1.disclosure --disclosure bob1.disclosure \\
      --original alice.safetensors --original bob.safetensors")]
pub(crate) struct Args {
    /// The model in dispute, for corroboration: its part in the outcome is none
    suspect: Option<PathBuf>,
    /// The owners' public keys: two, or one that signed both claims
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
    /// The two claims; the first one's owner is A
    #[arg(long, value_name = "FILE", required = true)]
    claim: Vec<PathBuf>,
    /// A sealed panel of one of the claims, opened by its owner; may be repeated
    #[arg(long, value_name = "FILE")]
    disclosure: Vec<PathBuf>,
    /// The stamped ticket that a claim is about, as it was when it was stamped; once for each claim
    #[arg(long, value_name = "FILE")]
    original: Vec<PathBuf>,
    /// What log2 p has to reach, in bits, after paying for every way of looking
    #[arg(long, value_name = "BITS", default_value = "-64", value_parser = value::bits, allow_negative_numbers = true)]
    threshold: Log2P,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// What one side has handed in.
struct Filed {
    claim: VerifiedClaim,
    disclosures: Vec<(PathBuf, OpenedPanel)>,
    original: Option<(PathBuf, Original)>,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let mut filed = self.claims()?;
        self.sort_disclosures(&mut filed)?;
        self.sort_originals(&mut filed)?;
        let suspect = self.suspect.as_deref().map(ModelFile::open).transpose()?;
        let report = judge(&filed, suspect.as_ref(), self.threshold)?;
        if self.json {
            print_json(&report)?;
        } else {
            let subjects = filed.each_ref().map(|filed| filed.claim.body().subject.name.as_str());
            print(&in_words(&report, subjects, self.suspect.as_deref()))?;
        }
        Ok(if report.outcome == Outcome::OneInside { Exit::Success } else { Exit::Inconclusive })
    }

    /// Both claims, each under the key that signed it.
    fn claims(&self) -> Result<[Filed; 2], Error> {
        let [first, second] = &self.claim[..] else {
            return Err(Error::DisputeOption { option: "--claim", found: self.claim.len(), expected: "two" });
        };
        if !(1..=2).contains(&self.key.len()) {
            let expected = "two, or the one that signed both claims";
            return Err(Error::DisputeOption { option: "--key", found: self.key.len(), expected });
        }
        let keys: Vec<PublicKey> = self.key.iter().map(|file| open::public_key(file)).collect::<Result<_, _>>()?;
        if let [one, other] = &keys[..]
            && one == other
        {
            return Err(Error::RepeatedKey { file: self.key[1].clone(), other: self.key[0].clone() });
        }
        let claims = [self.signed(first, &keys)?, self.signed(second, &keys)?];
        if claims[0].digest() == claims[1].digest() {
            return Err(Error::RepeatedClaim { file: second.clone(), other: first.clone() });
        }
        let signs_none = |(_, key): &(&PathBuf, &PublicKey)| claims.iter().all(|claim| claim.key() != *key);
        if let Some((file, key)) = self.key.iter().zip(&keys).find(signs_none) {
            let expected = claims[0].key().key_id();
            return Err(Error::IdleKey { file: file.clone(), found: key.key_id(), expected });
        }
        Ok(claims.map(|claim| Filed { claim, disclosures: Vec::new(), original: None }))
    }

    /// A claim that one of the keys has signed.
    fn signed(&self, file: &Path, keys: &[PublicKey]) -> Result<VerifiedClaim, Error> {
        let mut named = String::new();
        for key in keys {
            match open::claim(file, key) {
                Err(Error::Claim { source: ClaimError::OtherKey { found, .. }, .. }) => named = found,
                other => return other,
            }
        }
        let expected = keys.iter().map(PublicKey::key_id).collect();
        Err(Error::StrayClaim { file: file.to_owned(), found: named, expected })
    }

    /// Opens each disclosure under the claim that it names.
    fn sort_disclosures(&self, filed: &mut [Filed; 2]) -> Result<(), Error> {
        for file in &self.disclosure {
            let (side, panel) = opened(file, filed)?;
            let disclosures = &mut filed[side].disclosures;
            if let Some((other, _)) = disclosures.iter().find(|(_, other)| other.panel() == panel.panel()) {
                let (file, other) = (file.clone(), other.clone());
                return Err(Error::RepeatedDisclosure { file, other, panel: panel.panel().get() });
            }
            disclosures.push((file.clone(), panel));
        }
        Ok(())
    }

    /// Reads each original, and finds the claim that names its digest.
    fn sort_originals(&self, filed: &mut [Filed; 2]) -> Result<(), Error> {
        let expected = filed.each_ref().map(|filed| filed.claim.body().subject.digest);
        for file in &self.original {
            let original = original(file)?;
            let digest = original.digest();
            // Two claims may be about one ticket.
            let Some(side) = expected.iter().position(|expected| *expected == digest) else {
                let expected = expected.to_vec();
                return Err(Error::StrayOriginal { file: file.clone(), found: digest, expected });
            };
            if let Some((other, _)) = &filed[side].original {
                return Err(Error::RepeatedOriginal { file: file.clone(), other: other.clone(), digest });
            }
            filed[side].original = Some((file.clone(), original));
        }
        Ok(())
    }
}

/// A disclosure, and which of the claims it opens a panel of.
fn opened(file: &Path, filed: &[Filed; 2]) -> Result<(usize, OpenedPanel), Error> {
    let mut named = String::new();
    for (side, Filed { claim, .. }) in filed.iter().enumerate() {
        match open::disclosure(file, claim) {
            Ok(panel) => return Ok((side, panel)),
            Err(Error::Disclosure { source: DisclosureError::OtherClaim { found, .. }, .. }) => named = found,
            Err(other) => return Err(other),
        }
    }
    let expected = filed.iter().map(|filed| Digest::from(*filed.claim.digest())).collect();
    Err(Error::StrayDisclosure { file: file.to_owned(), found: named, expected })
}

fn original(file: &Path) -> Result<Original, Error> {
    Original::read(ModelFile::open(file)?).map_err(|error| match error {
        VerifyError::Model(source) => Error::Model { model: file.to_owned(), source },
        other => other.into(),
    })
}

fn judge(filed: &[Filed; 2], suspect: Option<&ModelFile>, threshold: Log2P) -> Result<DisputeReport, Error> {
    let [a, b] = filed;
    let is_one_ticket = a.claim.body().subject.digest == b.claim.body().subject.digest;
    let panels: [Vec<OpenedPanel>; 2] =
        filed.each_ref().map(|filed| filed.disclosures.iter().map(|(_, panel)| panel.clone()).collect());
    let originals = if is_one_ticket {
        [a.original.as_ref(), a.original.as_ref()]
    } else {
        [a.original.as_ref(), b.original.as_ref()]
    };
    let party = |side: usize| Party {
        claim: &filed[side].claim,
        disclosures: &panels[side],
        original: originals[side].map(|(_, original)| original),
    };
    let files: Vec<_> = originals.iter().flatten().map(|(_, original)| original.file()).chain(suspect).collect();
    let _aligning = originals.iter().any(Option::is_some).then(|| Waiting::aligning(files));
    Ok(dispute([party(0), party(1)], suspect, threshold)?)
}
