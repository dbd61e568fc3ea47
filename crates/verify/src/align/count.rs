//! Aligns the suspect on some panels, and counts the chips of others.

use std::collections::BTreeMap;

use counterfoil_claim::{ClaimBody, PanelId};
use counterfoil_graph::{AlignError, AlignLayer, AlignSettings, Aligner, Alignment, Side, finds_itself};
use counterfoil_mark::{ChipPlanes, Reading, Tally, Turn, panels};
use counterfoil_ticket::{Carrier, CarrierShape, Layer, Mask, ModelFile};
use rayon::prelude::*;

use super::suspect::SuspectLayer;
use super::{Fold, Network, canonical, held};
use crate::count::{CarrierCount, Clarity, MaskCount};
use crate::search::{Look, Search};
use crate::{AlignmentReport, CarrierState, VerifyError};

/// A similarity from which on kernels are taken to lie as the ticket's: turns are not tried any more.
const CONCLUSIVE: f64 = 0.3;

/// How turns are compared: from one start, in few rounds.
const PROBE: AlignSettings = AlignSettings { starts: 1, rounds: 2 };

/// Bits for trying all turns and doing nothing.
const TURN_BITS: f64 = 3.0;

/// What controls are drawn from.
const CONTROL_SEED: u64 = 1;

/// A claimed layer: the ticket's reference mask and the suspect's tensor.
struct Marked<'a> {
    layer: &'a Layer,
    carrier: Carrier,
    /// Index among the claim's carriers.
    claimed: usize,
    reference: &'a Mask,
    suspect: SuspectLayer,
}

/// A suspect and a reference mask, to be aligned.
pub(crate) struct AlignedMarks<'a> {
    search: &'a Search<'a>,
    claim: &'a ClaimBody,
    network: &'a Network,
    marked: Vec<Marked<'a>>,
    /// Carriers that are left out, by their index among the claim's, and their tensors.
    left_out: Vec<(usize, String)>,
}

/// A fold's alignment.
struct Found {
    alignment: Alignment,
    turn: Option<Turn>,
    log2_alignments: f64,
}

impl<'a> AlignedMarks<'a> {
    /// Reads the suspect. `reference` has been checked against the claim's commitment.
    pub(crate) fn read(
        file: &ModelFile,
        network: &'a Network,
        search: &'a Search<'a>,
        claim: &'a ClaimBody,
        reference: &'a [(Carrier, Mask)],
    ) -> Result<Self, VerifyError> {
        let masks: BTreeMap<(CarrierShape, u32), &Mask> =
            reference.iter().map(|(c, mask)| ((c.shape, c.ordinal), mask)).collect();
        let mut held = held::read_all(file, network)?;
        canonical::merge_split(network, &mut held);
        let mut living = held.clone();
        canonical::drop_dead(network, &mut living);
        let (mut marked, mut left_out) = (Vec::new(), Vec::new());
        for ((layer, held), living) in network.layers.iter().zip(&held).zip(&living) {
            let (Some(index), Some(tensor), Some(held), Some(living)) = (layer.claimed, &layer.tensor, held, living)
            else {
                continue;
            };
            let claimed = &claim.carriers[index];
            let Some(&mask) = masks.get(&(claimed.shape, claimed.ordinal)) else { continue };
            if mask.size() != claimed.shape.size() {
                let (found, expected) = (mask.size(), claimed.shape.size());
                return Err(VerifyError::ReferenceMask { carrier: claimed.name.clone(), found, expected });
            }
            match SuspectLayer::read(&tensor.name, held, living, claimed, claim.stamping.method)? {
                Some(suspect) => {
                    let carrier = claimed.carrier();
                    marked.push(Marked { layer: &layer.layer, carrier, claimed: index, reference: mask, suspect });
                }
                None => left_out.push((index, tensor.name.clone())),
            }
        }
        Ok(Self { search, claim, network, marked, left_out })
    }

    /// Aligns on the fold's positions, then counts what it tests.
    pub(crate) fn count(&self, fold: &Fold) -> Result<MaskCount, AlignError> {
        let visible = self.visible(fold);
        let Found { alignment, turn, log2_alignments } = self.align(&visible)?;
        let mut carriers: Vec<CarrierCount> = self.claim.carriers.iter().map(|c| nothing(c.carrier(), fold)).collect();
        for (index, tensor) in &self.left_out {
            carriers[*index].tensor = Some(tensor.clone());
            carriers[*index].state = CarrierState::LeftOut;
        }
        let asked: Vec<_> = fold.tested.iter().map(|&panel| (panel, self.claim.dilution)).collect();
        for marked in &self.marked {
            let Marked { layer, carrier, suspect, .. } = marked;
            let kept = turned(&suspect.kept, suspect.shape, turn);
            let side = Side { shape: suspect.shape, kept: &kept };
            let placed = alignment.place([layer.from, layer.to], carrier.shape, side);
            let chips = ChipPlanes::draw(&self.search.chips(carrier), carrier.shape.size(), &asked);
            let count = &mut carriers[marked.claimed];
            let kept = placed.kept() as u64;
            count.tensor = Some(suspect.tensor.clone());
            count.state = CarrierState::Counted;
            count.clarity = Clarity { all: carrier.shape.size() as u64, kept, clear: suspect.clear.min(kept) };
            count.tallies = chips.tally(&placed);
        }
        let bits = if self.search.is_claim_older { 0 } else { log2_alignments.ceil() as u32 };
        Ok(MaskCount {
            reading: self.reading(),
            look: Look { level: fold.level, dilution: self.claim.dilution, panels: fold.tested.clone() },
            carriers,
            alignment: Some(AlignmentReport {
                on: fold.on_in_words(),
                turn: turn.map(Turn::name),
                similarity: alignment.similarity,
                bits,
                control: None,
            }),
        })
    }

    /// Whether the ticket itself would have been found from the fold's positions.
    pub(crate) fn control(&self, fold: &Fold) -> Result<bool, AlignError> {
        let visible = self.visible(fold);
        let suspects: Vec<&Mask> = self.marked.iter().map(|m| &m.suspect.kept).collect();
        let whole: Vec<&Mask> = self.marked.iter().map(|m| m.reference).collect();
        let layers = self.layers(&visible, &suspects);
        finds_itself(&layers, &whole, &self.network.fixed, AlignSettings::default(), CONTROL_SEED)
    }

    /// By zeros, unless a carrier has too few of them.
    fn reading(&self) -> Reading {
        let is_ranked = self.marked.iter().any(|m| m.suspect.is_ranked);
        if is_ranked { Reading::AlignedRanks } else { Reading::AlignedZeros }
    }

    /// What the reference keeps at the positions that the fold may look at.
    fn visible(&self, fold: &Fold) -> Vec<Mask> {
        let of_layer = |m: &Marked| {
            let panels = panels(self.search.key, &self.search.split, &m.carrier);
            let tested: Vec<u8> = fold.tested.iter().copied().map(PanelId::get).collect();
            let mut visible = Mask::empty(m.reference.size());
            m.reference.positions().filter(|&p| !tested.contains(&panels[p])).for_each(|p| visible.set(p, true));
            visible
        };
        self.marked.iter().map(of_layer).collect()
    }

    fn layers<'b>(&'b self, reference: &'b [Mask], suspect: &[&'b Mask]) -> Vec<AlignLayer<'b>> {
        let of_layer = |((m, reference), suspect): ((&'b Marked, &'b Mask), &&'b Mask)| AlignLayer {
            from: m.layer.from,
            to: m.layer.to,
            reference: Side { shape: m.carrier.shape, kept: reference },
            suspect: Side { shape: m.suspect.shape, kept: suspect },
        };
        self.marked.iter().zip(reference).zip(suspect).map(of_layer).collect()
    }

    /// The best alignment in place or, where that is not conclusive, under the turn that looks best.
    fn align(&self, visible: &[Mask]) -> Result<Found, AlignError> {
        let align = |turn, settings| {
            let kept: Vec<Mask> = self.marked.iter().map(|m| turned(&m.suspect.kept, m.suspect.shape, turn)).collect();
            let kept: Vec<&Mask> = kept.iter().collect();
            let layers = self.layers(visible, &kept);
            let aligner = Aligner::new(&layers, &self.network.ties, &self.network.fixed)?;
            Ok((aligner.log2_alignments(), aligner.align(settings)))
        };
        let (log2_alignments, alignment) = align(None, AlignSettings::default())?;
        if self.marked.iter().all(|m| m.suspect.shape.taps() == 1) {
            return Ok(Found { alignment, turn: None, log2_alignments });
        }
        let mut found = Found { alignment, turn: None, log2_alignments: log2_alignments + TURN_BITS };
        if found.alignment.similarity >= CONCLUSIVE {
            return Ok(found);
        }
        let probe = |turn: &Turn| Ok(align(Some(*turn), PROBE)?.1.similarity);
        let similarities: Vec<Result<f64, AlignError>> = Turn::ALL.par_iter().map(probe).collect();
        let mut best: Option<(f64, Turn)> = None;
        for (similarity, turn) in similarities.into_iter().zip(Turn::ALL) {
            let similarity = similarity?;
            if best.is_none_or(|(most, _)| similarity > most) {
                best = Some((similarity, turn));
            }
        }
        if let Some((_, turn)) = best {
            let (_, alignment) = align(Some(turn), AlignSettings::default())?;
            if alignment.similarity > found.alignment.similarity {
                found = Found { alignment, turn: Some(turn), ..found };
            }
        }
        Ok(found)
    }
}

/// A carrier that nothing stands for.
fn nothing(carrier: Carrier, fold: &Fold) -> CarrierCount {
    CarrierCount {
        carrier,
        tensor: None,
        state: CarrierState::Missing,
        clarity: Clarity::default(),
        tallies: vec![Tally::default(); fold.tested.len()],
    }
}

/// What is kept, with all kernels turned.
fn turned(kept: &Mask, shape: CarrierShape, turn: Option<Turn>) -> Mask {
    let Some(turn) = turn else { return kept.clone() };
    let taps = turn.taps([shape.height as usize, shape.width as usize]);
    // For each tap that is read, where it is read to.
    let mut to = vec![0; taps.len()];
    taps.iter().enumerate().for_each(|(tap, &from)| to[from] = tap);
    let mut turned = Mask::empty(kept.size());
    kept.positions().for_each(|p| turned.set(p - p % taps.len() + to[p % taps.len()], true));
    turned
}
