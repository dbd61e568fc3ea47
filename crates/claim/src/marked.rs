//! What a mark is on: the carriers, which enter the seeds of its sealed panels.
//!
//! Implements `marked` of docs/protocol.md, "Seeds". Whoever lists other carriers, calls them otherwise, or states that they
//! keep more or fewer positions, gets other chips: none of this can be chosen for a suspect at hand after its chips are known.
//! Names say which of a suspect's tensors stand for which carriers, so they are among it.

use counterfoil_ticket::Carrier;
use sha2::{Digest, Sha256};

use crate::{ClaimBody, ClaimedCarrier, Licensee};

/// Stands for a number of kept positions that nobody knew when the seeds were drawn.
const NOT_YET_KNOWN: u64 = u64::MAX;

/// Digest of the marked carriers of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked([u8; 32]);

impl Marked {
    /// Of a ticket that is there, and is stamped by swaps, which leave the number of kept positions of each carrier as
    /// it is, or thinned by a number of positions that is fixed before. Carriers in natural order of their names, with
    /// what they keep then.
    pub fn by_stamping<'a>(carriers: impl IntoIterator<Item = (&'a Carrier, u64)>) -> Self {
        let mut hasher = Sha256::new_with_prefix("counterfoil/v1 marked");
        for (carrier, kept) in carriers {
            hasher.update(carrier.id());
            hasher.update((carrier.name.len() as u32).to_be_bytes());
            hasher.update(&carrier.name);
            hasher.update(kept.to_be_bytes());
        }
        Self(hasher.finalize().into())
    }

    /// Of a ticket that is still to be found under the key: nobody knows yet how much of each carrier it will keep.
    pub fn by_finding<'a>(carriers: impl IntoIterator<Item = &'a Carrier>) -> Self {
        Self::by_stamping(carriers.into_iter().map(|carrier| (carrier, NOT_YET_KNOWN)))
    }

    /// The same for the copy of a licensee: other names have other chips, and so have other positions.
    #[must_use]
    pub fn for_licensee(&self, licensee: &Licensee) -> Self {
        let hasher = Sha256::new_with_prefix("counterfoil/v1 licensee").chain_update(self.0);
        Self(hasher.chain_update(licensee.positions).chain_update(&licensee.name).finalize().into())
    }

    /// Of the ticket that a claim is about.
    pub fn of_claim(claim: &ClaimBody) -> Self {
        let carriers: Vec<Carrier> = claim.carriers.iter().map(ClaimedCarrier::carrier).collect();
        let marked = if claim.stamping.method.binds_kept() {
            Self::by_stamping(carriers.iter().zip(claim.carriers.iter().map(|c| c.kept)))
        } else {
            Self::by_finding(&carriers)
        };
        claim.licensee.as_ref().map_or(marked, |licensee| marked.for_licensee(licensee))
    }

    /// One that is already known.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
