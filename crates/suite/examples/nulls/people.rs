//! Owners, what they can show, and the training that they and everybody else do.

use std::collections::BTreeMap;
use std::error::Error;

use counterfoil_claim::{Dilution, OpenedPanel, OwnerKey, PanelCount, PublicKey, VerifiedClaim};
use counterfoil_mark::{KeyedFinding, StampRequest, Stamped, SwapSettings, TriggerSet, prepare};
use counterfoil_ticket::{Architecture, Carrier, Description, Digest, Kind, Mask, Model, Provenance};
use counterfoil_train::data::{DataSource, Dataset, LoadOptions, load};
use counterfoil_train::finder::{Imp, Keyed, Magnitude, Scope};
use counterfoil_train::{
    Aim, Checkpoint, DeviceChoice, Examples, Finder, Hold, Network, OwnMark, Schedule, Search, Shrinkage, fit,
};
use serde_json::json;

/// Passes over the data of one training: a second or two.
const EPOCHS: u32 = 2;
/// What the owners' tickets keep.
pub(crate) const OWNERS_KEEP: f64 = 0.1;
/// Sealed panels that keyed finding aims at.
const SEALED: PanelCount = PanelCount::new(4).expect("four are allowed");

/// The digits, and how networks are trained on them.
pub(crate) struct Bench {
    pub(crate) data: Dataset,
    pub(crate) seed: u64,
}

/// How a ticket is found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// After one training, at once.
    OneShot,
    /// In three rounds.
    Rounds,
    /// A pretrained network, as it is.
    Pretrained,
}

impl Bench {
    pub(crate) fn new(seed: u64) -> Result<Self, Box<dyn Error>> {
        Ok(Self { data: load(&DataSource::Digits, &LoadOptions::default())?, seed })
    }

    /// A seed of its own for each thing that has one.
    pub(crate) fn seed_of(&self, what: &str) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(Digest::of(["counterfoil nulls ", &self.seed.to_string(), " ", what]).as_bytes());
        bytes
    }

    /// The same as a number.
    pub(crate) fn number_of(&self, what: &str) -> u64 {
        let [a, b, c, d, ..] = self.seed_of(what);
        u64::from(u32::from_be_bytes([a, b, c, d]))
    }

    fn architecture(&self) -> Architecture {
        Architecture::Resnet20 { input: self.data.train.shape(), width: 8, classes: self.data.classes }
    }

    fn schedule(&self) -> Schedule {
        Schedule { decay: 5e-4, batch: 64, ..Schedule::paper(EPOCHS) }
    }

    fn examples<'a>(&'a self, triggers: &'a [TriggerSet]) -> Examples<'a> {
        Examples { triggers, ..Examples::new(&self.data.train, self.data.augmentation) }
    }

    /// Initial weights.
    pub(crate) fn initial(&self, seed: u64) -> Result<Network, Box<dyn Error>> {
        let device = DeviceChoice::Cpu.open()?;
        Ok(Network::initialise(self.architecture(), self.data.normalisation.clone(), seed, &device))
    }

    /// The network of a model.
    pub(crate) fn network(&self, model: &Model) -> Result<Network, Box<dyn Error>> {
        let device = DeviceChoice::Cpu.open()?;
        Ok(Network::from_model(model, self.architecture(), self.data.normalisation.clone(), &device)?)
    }

    /// Trains with the masks held.
    pub(crate) fn train(&self, start: &Model, triggers: &[TriggerSet], seed: u64) -> Result<Model, Box<dyn Error>> {
        self.trained(self.network(start)?, &start.masks, triggers, seed)
    }

    fn trained(
        &self,
        network: Network,
        masks: &BTreeMap<String, Mask>,
        triggers: &[TriggerSet],
        seed: u64,
    ) -> Result<Model, Box<dyn Error>> {
        let hold = Hold::new(&network, masks, BTreeMap::new());
        let network = fit(network, self.examples(triggers), &self.schedule(), &hold, seed, None, &mut |_| ())?;
        let description = Description {
            kind: Kind::Model,
            architecture: Some(self.architecture()),
            normalisation: Some(self.data.normalisation.clone()),
            ..Description::default()
        };
        Ok(Model { description, arrays: network.arrays(), masks: masks.clone(), ..Model::default() })
    }

    /// A dense network, trained.
    pub(crate) fn dense(&self, seed: u64) -> Result<Model, Box<dyn Error>> {
        self.trained(self.initial(seed)?, &BTreeMap::new(), &[], seed)
    }

    /// A ticket of this density.
    pub(crate) fn find(
        &self,
        network: Network,
        (way, keep): (Way, f64),
        seed: u64,
        keyed: Option<Keyed>,
    ) -> Result<Model, Box<dyn Error>> {
        let finder: &dyn Finder = match way {
            Way::OneShot => &Magnitude { scope: Scope::Global, pretrained: false },
            Way::Rounds => &Imp { prune_share: 1.0 - keep.cbrt(), scope: Scope::Global },
            Way::Pretrained => &Magnitude { scope: Scope::Global, pretrained: true },
        };
        let provenance = match way {
            Way::Pretrained => Provenance::PublicCheckpoint("checkpoint".to_owned()),
            Way::OneShot | Way::Rounds => Provenance::Random,
        };
        let folder = tempfile::tempdir()?;
        Ok(finder.find(&mut Search {
            network,
            provenance,
            examples: self.examples(&[]),
            aim: Aim { schedule: self.schedule(), sparsity: 1.0 - keep, rewind: Aim::usual_rewind(EPOCHS), seed },
            keyed,
            checkpoint: &Checkpoint::beside(&folder.path().join("ticket"), json!(seed)),
            on_event: &mut |_| (),
        })?)
    }
}

/// Somebody with a claim, who shows the reference mask and discloses all sealed panels.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) key: PublicKey,
    pub(crate) claim: VerifiedClaim,
    pub(crate) disclosures: Vec<OpenedPanel>,
    pub(crate) reference: Vec<(Carrier, Mask)>,
}

impl Person {
    fn of(name: &str, key: &OwnerKey, stamped: &Stamped) -> Result<Self, Box<dyn Error>> {
        let claim = VerifiedClaim::verify(stamped.claim.as_bytes(), &key.public())?;
        let mut disclosures = Vec::new();
        for panel in stamped.counterfoil.sealed_panels().sealed() {
            disclosures.push(claim.open(stamped.counterfoil.disclose(panel)?.as_bytes())?);
        }
        let reference = stamped.counterfoil.reference().to_vec();
        Ok(Self { name: name.to_owned(), key: key.public(), claim, disclosures, reference })
    }

    /// Somebody who stamps this ticket by swaps, with a key of this secret.
    pub(crate) fn stamping(bench: &Bench, name: &str, secret: &str, ticket: &Model) -> Result<Self, Box<dyn Error>> {
        let key = OwnerKey::from_seed(&bench.seed_of(secret));
        Self::of(name, &key, &swapped(ticket, &key)?)
    }
}

/// An owner: the ticket as found, and as stamped.
pub(crate) struct Owner {
    pub(crate) person: Person,
    /// Seed of the initial weights.
    pub(crate) start: u64,
    pub(crate) found: Model,
    pub(crate) stamped: Stamped,
}

impl Owner {
    /// One who prunes a public checkpoint and stamps by swaps.
    pub(crate) fn of_checkpoint(bench: &Bench, name: &str, checkpoint: &Model) -> Result<Self, Box<dyn Error>> {
        let found = bench.find(bench.network(checkpoint)?, (Way::Pretrained, OWNERS_KEEP), 0, None)?;
        Self::by_swaps(bench, name, 0, found)
    }

    /// One who finds an own ticket and stamps by swaps.
    pub(crate) fn swapping(bench: &Bench, name: &str, way: Way) -> Result<Self, Box<dyn Error>> {
        let start = bench.number_of(name);
        let found = bench.find(bench.initial(start)?, (way, OWNERS_KEEP), start, None)?;
        Self::by_swaps(bench, name, start, found)
    }

    fn by_swaps(bench: &Bench, name: &str, start: u64, found: Model) -> Result<Self, Box<dyn Error>> {
        let key = OwnerKey::from_seed(&bench.seed_of(name));
        let stamped = swapped(&found, &key)?;
        Ok(Self { person: Person::of(name, &key, &stamped)?, start, found, stamped })
    }

    /// One who finds an own ticket under the key.
    pub(crate) fn finding(bench: &Bench, name: &str) -> Result<Self, Box<dyn Error>> {
        let (start, key) = (bench.number_of(name), OwnerKey::from_seed(&bench.seed_of(name)));
        let master = key.master_seed(&[9; 32]);
        let network = bench.initial(start)?;
        let carriers = network.architecture().prunable_carriers();
        let mark = OwnMark::under(key.public(), &master, SEALED, &carriers);
        let (examples, rewind) = (bench.data.train.len(), Aim::usual_rewind(EPOCHS));
        let decay = bench.schedule().mark_decay(examples, rewind, Shrinkage::ByRootOfE);
        let keyed = Keyed { mark: &mark, decay, factor: 1.0 };
        let found = bench.find(network, (Way::Rounds, OWNERS_KEEP), start, Some(keyed))?;
        let swaps = SwapSettings::top_up(SEALED, Dilution::ALL[0]);
        let keyed = Some(KeyedFinding { master, decay: Some(decay), factor: None });
        let stamped = finish(&found, &key, StampRequest { swaps, keyed, provenance: None })?;
        Ok(Self { person: Person::of(name, &key, &stamped)?, start, found, stamped })
    }

    /// The triggers that the owner trains with.
    pub(crate) fn triggers(&self) -> Result<Vec<TriggerSet>, Box<dyn Error>> {
        let counterfoil = &self.stamped.counterfoil;
        let Some(settings) = counterfoil.triggers() else { return Ok(Vec::new()) };
        Ok(OwnMark::of_counterfoil(counterfoil).trigger_sets(settings)?)
    }
}

fn swapped(ticket: &Model, key: &OwnerKey) -> Result<Stamped, Box<dyn Error>> {
    finish(ticket, key, StampRequest { swaps: SwapSettings::default(), keyed: None, provenance: None })
}

fn finish(ticket: &Model, key: &OwnerKey, request: StampRequest) -> Result<Stamped, Box<dyn Error>> {
    Ok(prepare(ticket, key, request)?.finish("2026-01-01T00:00:00Z", "nulls")?)
}
