//! Owners, stamped tickets and suspects to try the verifier on.

use counterfoil_claim::{
    ClaimBody, ClaimedCarrier, Counterfoil, Dilution, Marked, MasterSeed, OpenedPanel, OwnerKey, PanelCount, PanelId,
    PanelStrength, PublicKey, Seed, Split, Stamping, StampingMethod, Subject, TriggerSettings, VerifiedClaim,
    merkle_root, reference_mask_commitment, sign,
};
use counterfoil_mark::{ChipMap, Tally, chip_map, tally};
use counterfoil_ticket::{Array, Carrier, Digest, Mask, Model, ModelFile, Overwrite, Provenance};
use counterfoil_verify::{Evidence, Options, Report, TestReport, verify};

/// Name and shape of a tensor.
pub(crate) type Tensor = (&'static str, &'static [usize]);

/// Four convolutions of one shape, one of another, and a classifier: 85,000 positions.
pub(crate) const NETWORK: [Tensor; 6] = [
    ("layer1.weight", &[48, 32, 3, 3]),
    ("layer2.weight", &[48, 32, 3, 3]),
    ("layer3.weight", &[48, 32, 3, 3]),
    ("layer4.weight", &[48, 32, 3, 3]),
    ("layer5.weight", &[96, 32, 3, 3]),
    ("linear.weight", &[10, 96]),
];

/// A random generator with a plain definition: SplitMix64 (Steele et al. 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(crate) fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of either sign, of a size between 0.5 and 1.5.
    pub(crate) fn weight(&mut self) -> f32 {
        let size = 0.5 + self.share() as f32;
        if self.bits().is_multiple_of(2) { size } else { -size }
    }
}

pub(crate) struct Owner {
    pub(crate) key: OwnerKey,
    pub(crate) public: PublicKey,
    pub(crate) master: MasterSeed,
    pub(crate) sealed: PanelCount,
    pub(crate) dilution: Dilution,
    pub(crate) triggers: Option<TriggerSettings>,
    /// How its tickets are stamped.
    pub(crate) method: StampingMethod,
}

impl Owner {
    /// Two sealed panels, dilution 1, no triggers.
    pub(crate) fn new(number: u64) -> Self {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let key = OwnerKey::from_seed(&seed);
        Self {
            public: key.public(),
            master: key.master_seed(&[1; 32]),
            key,
            sealed: PanelCount::new(2).expect("two sealed panels are allowed"),
            dilution: dilution(1),
            triggers: None,
            method: StampingMethod::Swaps,
        }
    }

    fn marked<'a>(&self, carriers: impl Iterator<Item = (&'a Carrier, u64)>) -> Marked {
        if self.method.binds_kept() {
            Marked::by_stamping(carriers)
        } else {
            Marked::by_finding(carriers.map(|(carrier, _)| carrier))
        }
    }

    /// What a ticket's seeds depend on.
    pub(crate) fn marked_of(&self, ticket: &Ticket) -> Marked {
        self.marked(ticket.masks.iter().map(|(carrier, mask)| (carrier, mask.kept() as u64)))
    }

    pub(crate) fn seeds(&self, marked: &Marked) -> Vec<(PanelId, Seed)> {
        self.master.panels(&self.public, self.sealed, marked)
    }

    pub(crate) fn chips(&self, carrier: &Carrier, marked: &Marked) -> ChipMap {
        let seeds = self.seeds(marked);
        let seeds: Vec<_> = seeds.iter().map(|(panel, seed)| (*panel, seed)).collect();
        chip_map(&seeds, &self.public, &Split::Owner(self.sealed), carrier, self.dilution)
    }

    /// Keeps a share `density` of the positions of each carrier, drawn one after the other with weights 1 + bias · chip: about
    /// a share (1 + bias) / 2 of them has chip +1. Weighted draws as in Efraimidis and Spirakis 2006.
    pub(crate) fn stamp(&self, tensors: &[Tensor], density: f64, bias: f64) -> Ticket {
        let mut random = Random(11);
        let carriers = Carrier::number(tensors.iter().copied());
        let count = |carrier: &Carrier| (density * carrier.shape.size() as f64).round() as usize;
        let marked = self.marked(carriers.iter().map(|carrier| (carrier, count(carrier) as u64)));
        let masks = carriers.into_iter().map(|carrier| {
            let chips = self.chips(&carrier, &marked);
            let weight = |chip: i8| 1.0 + bias * f64::from(chip);
            let draws = chips.chip.iter().map(|&chip| random.share().ln() / weight(chip));
            let mut order: Vec<(f64, usize)> = draws.zip(0..).collect();
            order.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut mask = Mask::empty(carrier.shape.size());
            order[..count(&carrier)].iter().for_each(|&(_, position)| mask.set(position, true));
            (carrier, mask)
        });
        Ticket { masks: masks.collect(), tensors: tensors.to_vec() }
    }

    /// What the ticket carries of a panel.
    pub(crate) fn carried(&self, ticket: &Ticket, panel: PanelId) -> Tally {
        ticket
            .masks
            .iter()
            .map(|(carrier, mask)| tally(mask, &self.chips(carrier, &self.marked_of(ticket)), panel))
            .sum()
    }

    pub(crate) fn claim(&self, ticket: &Ticket) -> VerifiedClaim {
        let claimed = |(c, mask): &(Carrier, Mask)| ClaimedCarrier {
            name: c.name.clone(),
            shape: c.shape,
            ordinal: c.ordinal,
            kept: mask.kept() as u64,
        };
        let strength = |panel| {
            let carried = self.carried(ticket, panel);
            PanelStrength { panel, n: carried.n(), hits: carried.hits() }
        };
        let body = ClaimBody {
            subject: Subject { name: "ticket.safetensors".to_owned(), digest: Digest::from([3; 32]) },
            licensee: None,
            carriers: ticket.masks.iter().map(claimed).collect(),
            sealed_panels: self.sealed,
            dilution: self.dilution,
            merkle_root: merkle_root(&self.master),
            panels: self.sealed.all().map(strength).collect(),
            reference_mask: reference_mask_commitment(&self.master, &ticket.masks),
            graph_fingerprint: None,
            triggers: self.triggers,
            stamping: Stamping { method: self.method, moved: 0, decay: None, factor: None },
            provenance: Provenance::Random,
            created: "2024-05-06T07:08:09Z".to_owned(),
            tool: "counterfoil 0.1.0".to_owned(),
        };
        let envelope = sign(&body, &self.key).expect("the claim is well-formed");
        VerifiedClaim::verify(envelope.as_bytes(), &self.public).expect("the claim is this key's")
    }

    pub(crate) fn disclose(&self, ticket: &Ticket, claim: &VerifiedClaim, panels: &[u8]) -> Vec<OpenedPanel> {
        let counterfoil = Counterfoil::build(claim, self.master.clone(), None, ticket.masks.clone());
        let counterfoil = counterfoil.expect("claim and counterfoil are of one ticket");
        let open = |&panel: &u8| {
            let panel = PanelId::sealed(panel).expect("a sealed panel");
            let disclosure = counterfoil.disclose(panel).expect("the ticket has this panel");
            claim.open(disclosure.as_bytes()).expect("the claim had committed to it")
        };
        panels.iter().map(open).collect()
    }
}

pub(crate) fn dilution(d: u8) -> Dilution {
    Dilution::new(d).expect("a dilution of the protocol")
}

/// Masks of a network, stamped.
#[derive(Clone)]
pub(crate) struct Ticket {
    pub(crate) masks: Vec<(Carrier, Mask)>,
    pub(crate) tensors: Vec<Tensor>,
}

impl Ticket {
    /// A model on this ticket: weights where it keeps, zeros elsewhere.
    pub(crate) fn model(&self) -> Model {
        let mut random = Random(23);
        let mut model = Model::default();
        for (carrier, mask) in &self.masks {
            let shape =
                self.tensors.iter().find(|(name, _)| *name == carrier.name).expect("a tensor for each carrier").1;
            let values = (0..mask.size()).map(|p| if mask.keeps(p) { random.weight() } else { 0.0 }).collect();
            model.arrays.insert(carrier.name.clone(), array(shape, values));
        }
        model
    }
}

pub(crate) fn array(shape: &[usize], values: Vec<f32>) -> Array {
    Array::new(shape.to_vec(), values).expect("as many values as the shape says")
}

/// Changes every value of every carrier.
pub(crate) fn change(model: &mut Model, mut change: impl FnMut(f32) -> f32) {
    for array in model.arrays.values_mut() {
        array.values_mut().iter_mut().for_each(|v| *v = change(*v));
    }
}

/// Gives the tensors other names.
pub(crate) fn rename(model: Model, new_name: impl Fn(&str) -> String) -> Model {
    let arrays = model.arrays.into_iter().map(|(name, array)| (new_name(&name), array)).collect();
    Model { arrays, ..model }
}

/// The model as a file.
pub(crate) fn file(model: &Model) -> Suspect {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("suspect.safetensors");
    model.write_safetensors(&path, Overwrite::Refuse).expect("the model can be written");
    Suspect { file: ModelFile::open(&path).expect("what was written can be read"), _folder: folder }
}

/// The arrays of a model as a safetensors file that our own writer would refuse to write.
pub(crate) fn raw_file(model: &Model) -> Suspect {
    let (mut header, mut values) = (serde_json::Map::new(), Vec::new());
    for (name, array) in &model.arrays {
        let start = values.len();
        values.extend(array.values().iter().flat_map(|v| v.to_le_bytes()));
        let offsets = [start, values.len()];
        let tensor = serde_json::json!({"dtype": "F32", "shape": array.shape(), "data_offsets": offsets});
        header.insert(name.clone(), tensor);
    }
    let header = serde_json::to_vec(&header).expect("names and numbers have a JSON form");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("suspect.safetensors");
    let bytes = [&(header.len() as u64).to_le_bytes()[..], &header, &values].concat();
    std::fs::write(&path, bytes).expect("a file can be written");
    Suspect { file: ModelFile::open(&path).expect("the file is sound"), _folder: folder }
}

/// A suspect's file, and the folder it lies in.
pub(crate) struct Suspect {
    pub(crate) file: ModelFile,
    _folder: tempfile::TempDir,
}

/// The mask test under default options.
/// As [`look`], under a claim that is known to be older than the suspect.
pub(crate) fn look_older(model: &Model, evidence: &Evidence) -> Report {
    let options = Options { claim_is_older: true, ..Options::default() };
    verify(Some(&file(model).file), None, evidence, &options).expect("the suspect can be judged")
}

pub(crate) fn look(model: &Model, evidence: &Evidence) -> Report {
    verify(Some(&file(model).file), None, evidence, &Options::default()).expect("the suspect can be judged")
}

/// The decisive test of a report.
pub(crate) fn decided(report: &Report) -> &TestReport {
    &report.tests[report.decided_by.expect("a test was made")]
}
