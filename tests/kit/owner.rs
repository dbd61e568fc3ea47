//! Owners, the tickets that they stamp, and what they can show of it.

use counterfoil_claim::{Dilution, OpenedPanel, OwnerKey, PanelCount, PanelId, VerifiedClaim};
use counterfoil_mark::{KeyedFinding, StampRequest, Stamped, SwapSettings, prepare};
use counterfoil_ticket::{Architecture, Array, Carrier, Digest, ImageShape, Kind, Mask, Model};
use counterfoil_train::OwnMark;
use counterfoil_verify::Evidence;
use serde_json::{Value, json};

use crate::{Random, real_mask};

/// A ResNet-20 on these masks: random weights where they keep.
pub fn model_on(masks: Vec<(Carrier, Mask)>, number: u64) -> Model {
    let mut random = Random(number);
    let mut model = Model::default();
    for (carrier, mask) in masks {
        let [o, i, h, w] = <[u32; 4]>::from(carrier.shape).map(|d| d as usize);
        let shape = if (h, w) == (1, 1) { vec![o, i] } else { vec![o, i, h, w] };
        let weight = |p| if mask.keeps(p) { 1.5 + random.sign() } else { 0.0 };
        let values = (0..mask.size()).map(weight).collect();
        model.arrays.insert(carrier.name.clone(), Array::new(shape, values).unwrap());
        model.masks.insert(carrier.name, mask);
    }
    model.description.kind = Kind::Ticket;
    model
}

/// A ticket of 5 % that nobody has marked.
pub fn ticket(number: u64) -> Model {
    let mut random = Random(number << 32);
    let mut model = model_on(
        real_mask()
            .into_iter()
            .map(|(carrier, mask)| {
                let keep = |_| random.bits().is_multiple_of(20);
                (carrier, Mask::from_fn(mask.size(), keep))
            })
            .collect(),
        number,
    );
    model.description.architecture = Some(RESNET20);
    model
}

/// The network of all these tickets.
const RESNET20: Architecture =
    Architecture::Resnet20 { input: ImageShape { channels: 3, height: 32, width: 32 }, width: 16, classes: 10 };

/// An owner and the ticket stamped.
pub struct Owner {
    /// The private key.
    pub key: OwnerKey,
    /// What stamping gave.
    pub stamped: Stamped,
    /// The claim, verified.
    pub claim: VerifiedClaim,
    /// All sealed panels.
    pub opened: Vec<OpenedPanel>,
}

impl Owner {
    /// The owner of this number stamps a ticket; one that is stamped already too, for no file has to say so.
    pub fn of(number: u8, ticket: &Model) -> Self {
        let mut ticket = ticket.clone();
        ticket.description.kind = Kind::Ticket;
        let key = OwnerKey::from_seed(&[number; 32]);
        let request = StampRequest { swaps: SwapSettings::default(), keyed: None, provenance: None };
        Self::who_stamps(key, &ticket, request)
    }

    /// The owner of this number has found a ticket of 5 % under his key, all of whose positions agree with it.
    pub fn who_finds(number: u8) -> Self {
        let key = OwnerKey::from_seed(&[number; 32]);
        let (master, sealed) = (key.master_seed(&[number; 32]), PanelCount::new(PanelCount::MAX).unwrap());
        let carriers = RESNET20.prunable_carriers();
        let found = OwnMark::under(key.public(), &master, sealed, &carriers).extra_decay(&carriers, 1.0);
        let mut random = Random(u64::from(number) << 32);
        let masks = carriers.into_iter().map(|carrier| {
            let decay = &found[&carrier.name];
            let mask = Mask::from_fn(carrier.shape.size(), |p| decay[p] == 0.0 && random.bits().is_multiple_of(10));
            (carrier, mask)
        });
        let mut ticket = model_on(masks.collect(), number.into());
        ticket.description.architecture = Some(RESNET20);
        let keyed = Some(KeyedFinding { master, decay: Some(1.0), factor: None });
        let swaps = SwapSettings::top_up(sealed, Dilution::ALL[0]);
        Self::who_stamps(key, &ticket, StampRequest { swaps, keyed, provenance: None })
    }

    fn who_stamps(key: OwnerKey, ticket: &Model, request: StampRequest) -> Self {
        let stamped = prepare(ticket, &key, request).unwrap().finish("2026-01-01T00:00:00Z", "t").unwrap();
        let claim = VerifiedClaim::verify(stamped.claim.as_bytes(), &key.public()).unwrap();
        let foil = &stamped.counterfoil;
        let opened =
            foil.sealed_panels().sealed().map(|p| claim.open(foil.disclose(p).unwrap().as_bytes()).unwrap()).collect();
        Self { key, stamped, claim, opened }
    }

    /// Claim and disclosures.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence::claimed(&self.claim, &self.opened)
    }

    /// A disclosure as it is handed out, for `claim`.
    pub fn disclosure(&self, panel: u8, claim: &VerifiedClaim) -> Value {
        let text = self.stamped.counterfoil.disclose(PanelId::sealed(panel).unwrap()).unwrap();
        let mut json: Value = serde_json::from_str(&text).unwrap();
        json["claim"] = json!(Digest::from(*claim.digest()).to_string());
        json
    }

    /// The same opened under `claim`, which commits to the same root.
    pub fn opened_under(&self, claim: &VerifiedClaim) -> Vec<OpenedPanel> {
        let panels = 1..=claim.body().sealed_panels.get();
        panels.map(|p| claim.open(self.disclosure(p, claim).to_string().as_bytes()).unwrap()).collect()
    }
}
