//! Suspects: models that do not carry the mark they are tested for, from strangers' to the ticket before it was stamped.

use std::error::Error;

use counterfoil_ticket::Model;
use counterfoil_verify::Options;

use crate::people::{Bench, OWNERS_KEEP, Owner, Person, Way};

/// Name of whoever tests one suspect alone, as lines have it.
const OWN: &str = "own";

/// What a suspect shares with the owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The data and the architecture.
    Independent,
    /// An owner's initial weights.
    Start(usize),
    /// The public checkpoint that an owner has pruned.
    Checkpoint,
    /// An owner's ticket before it was stamped.
    Unstamped(usize),
    /// An owner's stamped ticket: tested under all keys but that owner's.
    Stamped(usize),
}

pub(crate) struct Suspect {
    pub(crate) name: String,
    pub(crate) seed: u64,
    kind: Kind,
    way: Way,
    keep: f64,
}

/// Whoever takes part.
pub(crate) struct Town {
    pub(crate) bench: Bench,
    /// What the verifier is asked to do.
    pub(crate) options: Options,
    pub(crate) owners: Vec<Owner>,
    /// An unmarked model that no suspect derives from: what attackers have beside the suspect.
    pub(crate) stranger: Model,
    /// The ticket that whoever has no other stamps.
    template: Model,
    checkpoint: Model,
}

impl Town {
    pub(crate) fn new(bench: Bench, options: Options) -> Result<Self, Box<dyn Error>> {
        let checkpoint = bench.dense(bench.number_of("checkpoint"))?;
        let owners = vec![
            Owner::of_checkpoint(&bench, "owner 0", &checkpoint)?,
            Owner::finding(&bench, "owner 1")?,
            Owner::swapping(&bench, "owner 2", Way::Rounds)?,
            Owner::finding(&bench, "owner 3")?,
            Owner::swapping(&bench, "owner 4", Way::OneShot)?,
            Owner::finding(&bench, "owner 5")?,
        ];
        let template = |what: &str| {
            let seed = bench.number_of(what);
            bench.find(bench.initial(seed)?, (Way::OneShot, OWNERS_KEEP), seed, None)
        };
        let (stranger, template) = (template("stranger")?, template("template")?);
        Ok(Self { stranger: bench.train(&stranger, &[], 0)?, bench, options, owners, template, checkpoint })
    }

    pub(crate) fn suspects(&self, independent: u32, related: u32) -> Vec<Suspect> {
        let owners = self.owners.len();
        let swapping: Vec<usize> = (0..owners).step_by(2).collect();
        let of = |what: &str, count: u32, kind: &dyn Fn(usize) -> Kind| {
            let one = |i: u32| {
                let (name, i) = (format!("{what} {i}"), i as usize);
                let kind = kind(i);
                let way = if i.is_multiple_of(2) { Way::OneShot } else { Way::Rounds };
                let way = if kind == Kind::Checkpoint && i.is_multiple_of(2) { Way::Pretrained } else { way };
                Suspect { seed: self.bench.number_of(&name), name, kind, way, keep: [0.1, 0.05, 0.2][i / 2 % 3] }
            };
            (0..count).map(one).collect::<Vec<_>>()
        };
        [
            of("independent", independent, &|_| Kind::Independent),
            of("same start", related, &|i| Kind::Start(1 + i % (owners - 1))),
            of("same checkpoint", related, &|_| Kind::Checkpoint),
            of("unstamped", related, &|i| Kind::Unstamped(swapping[i % swapping.len()])),
            of("others' stamp", related, &|i| Kind::Stamped(i % owners)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The suspect's trained model.
    pub(crate) fn make(&self, suspect: &Suspect) -> Result<Model, Box<dyn Error>> {
        let Suspect { kind, seed, way, keep, .. } = *suspect;
        let find = |network| self.bench.find(network, (way, keep), seed, None);
        let train = |ticket: &Model| self.bench.train(ticket, &[], seed);
        match kind {
            Kind::Independent => train(&find(self.bench.initial(seed)?)?),
            Kind::Start(owner) => train(&find(self.bench.initial(self.owners[owner].start)?)?),
            Kind::Checkpoint => train(&find(self.bench.network(&self.checkpoint)?)?),
            Kind::Unstamped(owner) => train(&self.owners[owner].found),
            Kind::Stamped(owner) => {
                let owner = &self.owners[owner];
                self.bench.train(&owner.stamped.model, &owner.triggers()?, seed)
            }
        }
    }

    /// Whoever tests nobody but this suspect.
    pub(crate) fn own(&self, suspect: &Suspect) -> Result<Person, Box<dyn Error>> {
        Person::stamping(&self.bench, OWN, &format!("{OWN} {}", suspect.name), &self.template)
    }

    /// Names of the keys that a suspect is tested under.
    pub(crate) fn names(&self, suspect: &Suspect) -> Vec<String> {
        let owners = self.strangers_to(suspect).map(|owner| owner.person.name.clone());
        owners.chain([OWN.to_owned()]).collect()
    }

    /// Everybody whose mark the suspect does not carry.
    pub(crate) fn people<'a>(&'a self, suspect: &Suspect, own: &'a Person) -> Vec<&'a Person> {
        self.strangers_to(suspect).map(|owner| &owner.person).chain([own]).collect()
    }

    fn strangers_to(&self, suspect: &Suspect) -> impl Iterator<Item = &Owner> {
        let is_own = |i: usize| suspect.kind == Kind::Stamped(i);
        self.owners.iter().enumerate().filter(move |(i, _)| !is_own(*i)).map(|(_, owner)| owner)
    }
}
