//! Grinding: how small a p-value a claimant gets on an innocent suspect by trying keys, seeds and claims on it.
//!
//! Under the null each try's p is at least uniform, so the best of 2^k tries has an expected log2 p of about −k, −k − 0.83 for
//! independent ones. What a try may choose is a *freedom*; some are refused by the protocol, and are measured to show
//! why: panels whose seeds do not depend on each other, nor on the carriers, and carriers whose numbers are free. Markdown on standard output, for
//! docs/results/forgery.md.

use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use counterfoil_claim::{Dilution, Marked, MasterSeed, OwnerKey, PanelCount, PanelId, PublicKey, Seed, Split};
use counterfoil_mark::{Chance, ChipMap, Tally, chip_map, log2_upper_tail, tally};
use counterfoil_ticket::{Architecture, Carrier, Digest, ImageShape, Mask};
use counterfoil_train::data::shuffle;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

#[derive(Debug, Parser)]
#[command(about = "Best p-values of many keys, seeds and claims against one innocent suspect, as a Markdown table")]
struct Arguments {
    /// Tries after which the best is told, as powers of two.
    #[arg(long, value_delimiter = ',', default_value = "10,16")]
    powers: Vec<u32>,
    /// Only freedoms whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// A suspect of two layers, against which tries are cheaper, in place of a ResNet-20.
    #[arg(long)]
    mlp: bool,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: u64,
}

/// Share of the positions that the suspect keeps.
const KEEPS: f64 = 0.1;
/// Tries that are timed together; the fastest time counts, for the machine may have other work.
const TIMED: u64 = 64;
/// Bits that the reading `zeros` is charged, at least.
const CHARGE: i32 = 1;
/// Bits that a verdict takes by default.
const THRESHOLD: i32 = 64;

fn main() {
    let arguments = Arguments::parse();
    let suspect = Suspect::new(arguments.mlp);
    println!(
        "Suspect: {} carriers, {} of {} positions kept.\n",
        suspect.carriers.len(),
        suspect.kept(),
        suspect.size()
    );
    let bests: Vec<String> = arguments.powers.iter().map(|power| format!("best of 2^{power}")).collect();
    println!("| what each try chooses | {} | µs a try | core-years to −64 |", bests.join(" | "));
    println!("| --- |{}", " --- |".repeat(bests.len() + 2));
    for freedom in FREEDOMS.iter().filter(|freedom| freedom.name.contains(&arguments.only)) {
        let (bests, time) = best_of(freedom, &suspect, &arguments);
        let bests: Vec<String> = bests.iter().map(|bits| format!("{bits:.1}").replace('-', "−")).collect();
        let micros = time.as_secs_f64() * 1e6;
        let years = micros * 1e-6 * 2f64.powi(THRESHOLD + CHARGE) / (365.25 * 86400.0);
        let years = if freedom.is_bounded { format!("{years:.0e}") } else { "–".to_owned() };
        println!("| {} | {} | {micros:.0} | {years} |", freedom.name, bests.join(" | "));
    }
}

/// Smallest log2 p after each number of tries, and what a try takes.
fn best_of(freedom: &Freedom, suspect: &Suspect, arguments: &Arguments) -> (Vec<f64>, Duration) {
    let (powers, parts) = (&arguments.powers, freedom.parts.min(suspect.carriers.len() as u64));
    let most = 1u64 << powers.iter().max().expect("some powers are asked for");
    let one = |thread: u64| {
        let mut bests = vec![vec![Tally::default(); parts as usize]; powers.len()];
        let (mut fastest, mut started) = (Duration::MAX, Instant::now());
        for (count, number) in (thread..most).step_by(arguments.threads as usize).enumerate() {
            let part = number % parts;
            let tally = (freedom.tried)(suspect, part as usize, number);
            for (best, power) in bests.iter_mut().zip(powers) {
                let best = &mut best[part as usize];
                if number < 1 << power && surprise(tally) > surprise(*best) {
                    *best = tally;
                }
            }
            if (count as u64 + 1).is_multiple_of(TIMED) {
                fastest = fastest.min(started.elapsed() / TIMED as u32);
                started = Instant::now();
            }
        }
        (bests, fastest)
    };
    let each: Vec<(Vec<Vec<Tally>>, Duration)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.threads).map(|thread| scope.spawn(move || one(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("tries do not panic")).collect()
    });
    let best = |power: usize| {
        let of_part = |part: usize| {
            let tallies = each.iter().map(|(bests, _)| bests[power][part]);
            tallies.max_by(|a, b| surprise(*a).total_cmp(&surprise(*b))).expect("there is a thread")
        };
        let pooled: Tally = (0..parts as usize).map(of_part).sum();
        log2_upper_tail(pooled, Chance::HALF).bits()
    };
    let bests = (0..powers.len()).map(best).collect();
    (bests, each.iter().map(|(_, fastest)| *fastest).min().expect("there is a thread"))
}

/// The larger, the smaller p: (2s − n)² / n, for more hits than misses.
fn surprise(tally: Tally) -> f64 {
    let excess = 2.0 * tally.hits() as f64 - tally.n() as f64;
    if tally.n() == 0 { 0.0 } else { excess * excess.abs() / tally.n() as f64 }
}

/// What a claimant may choose.
struct Freedom {
    name: &'static str,
    /// What part of the evidence gets in try number so-and-so.
    tried: fn(&Suspect, usize, u64) -> Tally,
    /// Parts that are tried one by one, and the best of each pooled; no more than there are carriers.
    parts: u64,
    /// Whether 2^k tries gain no more than about k bits.
    is_bounded: bool,
}

const FREEDOMS: [Freedom; 10] = [
    Freedom { name: "the key (panel 0: `marked`)", tried: key, parts: 1, is_bounded: true },
    Freedom { name: "the master seed, four sealed panels", tried: seed, parts: 1, is_bounded: true },
    Freedom { name: "master seed, and one of the 16 layouts P, D", tried: layouts, parts: 1, is_bounded: true },
    Freedom { name: "master seed, and half of the carriers, listed", tried: list, parts: 1, is_bounded: true },
    Freedom {
        name: "master seed, and densities of a ticket stamped by swaps",
        tried: density,
        parts: 1,
        is_bounded: true,
    },
    Freedom {
        name: "the same of one found under the key: 3 bits paid for each",
        tried: steps,
        parts: 1,
        is_bounded: false,
    },
    Freedom { name: "refused: openings, panel by panel", tried: opening, parts: 4, is_bounded: false },
    Freedom { name: "refused: the best list of carriers", tried: lists, parts: 1, is_bounded: false },
    Freedom { name: "refused: the best densities", tried: densities, parts: 1, is_bounded: false },
    Freedom { name: "refused: ordinals, carrier by carrier", tried: ordinal, parts: u64::MAX, is_bounded: false },
];

/// A network that nobody has marked.
struct Suspect {
    carriers: Vec<(Carrier, Mask)>,
    /// Positions of each carrier, the largest weights first.
    ranked: Vec<Vec<usize>>,
    key: OwnerKey,
}

impl Suspect {
    fn new(is_mlp: bool) -> Self {
        let (input, classes) = (ImageShape { channels: 1, height: 8, width: 8 }, 10);
        let architecture = match is_mlp {
            true => Architecture::Mlp { input, hidden: vec![32, 32], classes },
            false => Architecture::Resnet20 { input, width: 4, classes },
        };
        let layers = architecture.layers();
        let shape = |d: [u32; 4]| d.map(|d| d as usize).to_vec();
        let tensors: Vec<(String, Vec<usize>)> =
            layers.iter().filter(|l| l.prunable).map(|l| (l.weight(), shape(l.shape.into()))).collect();
        let carriers = Carrier::number(tensors.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let ranked: Vec<Vec<usize>> = carriers
            .iter()
            .map(|carrier| {
                let mut order: Vec<usize> = (0..carrier.shape.size()).collect();
                shuffle(&mut order, &mut rng);
                order
            })
            .collect();
        let mask = |(carrier, order): (Carrier, &Vec<usize>)| {
            let mut mask = Mask::empty(order.len());
            order[..(KEEPS * order.len() as f64).ceil() as usize].iter().for_each(|&p| mask.set(p, true));
            (carrier, mask)
        };
        let carriers = carriers.into_iter().zip(&ranked).map(mask).collect();
        Self { carriers, ranked, key: OwnerKey::from_seed(&[1; 32]) }
    }

    fn kept(&self) -> usize {
        self.carriers.iter().map(|(_, mask)| mask.kept()).sum()
    }

    fn size(&self) -> usize {
        self.carriers.iter().map(|(_, mask)| mask.size()).sum()
    }

    /// What it tallies on the sealed panels of these seeds, carrier by carrier, and the chips.
    fn sealed(&self, seeds: &[Seed], dilution: Dilution) -> Vec<(Tally, ChipMap)> {
        let panels = PanelCount::new(seeds.len() as u8).expect("one to four panels");
        let seeds: Vec<(PanelId, &Seed)> = panels.sealed().zip(seeds).collect();
        let pk = self.key.public();
        let count = |(carrier, mask): &(Carrier, Mask)| {
            let map = chip_map(&seeds, &pk, &Split::Owner(panels), carrier, dilution);
            (panels.sealed().map(|panel| tally(mask, &map, panel)).sum(), map)
        };
        self.carriers.iter().map(count).collect()
    }
}

fn secret(what: &str, number: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(Digest::of([what.as_bytes(), &number.to_be_bytes()]).as_bytes());
    bytes
}

fn seeds(number: u64, panels: u8) -> Vec<Seed> {
    seeds_on(number, panels, &Marked::from_bytes([0; 32]))
}

fn seeds_on(number: u64, panels: u8, marked: &Marked) -> Vec<Seed> {
    let panels = PanelCount::new(panels).expect("one to four panels");
    MasterSeed::from_bytes(secret("master", number)).sealed(panels, marked)
}

fn key(suspect: &Suspect, _: usize, number: u64) -> Tally {
    let pk: PublicKey = OwnerKey::from_seed(&secret("key", number)).public();
    let (one, seed) = (PanelCount::new(1).expect("one panel"), pk.public_seed());
    let count = |(carrier, mask): &(Carrier, Mask)| {
        let map = chip_map(&[(PanelId::PUBLIC, &seed)], &pk, &Split::Owner(one), carrier, Dilution::ALL[0]);
        tally(mask, &map, PanelId::PUBLIC)
    };
    suspect.carriers.iter().map(count).sum()
}

fn seed(suspect: &Suspect, _: usize, number: u64) -> Tally {
    suspect.sealed(&seeds(number, 4), Dilution::ALL[0]).into_iter().map(|(tally, _)| tally).sum()
}

/// A sixteenth of the tries are masters.
fn layouts(suspect: &Suspect, _: usize, number: u64) -> Tally {
    let (panels, dilution) = (1 + number as u8 % 4, Dilution::ALL[(number / 4 % 4) as usize]);
    suspect.sealed(&seeds(number / 16, panels), dilution).into_iter().map(|(tally, _)| tally).sum()
}

/// Each carrier with this number's bit: the list enters the seeds, so that another one is another try.
fn list(suspect: &Suspect, _: usize, number: u64) -> Tally {
    let is_listed = |i: usize| number >> (i % 64) & 1 == 1;
    let listed = suspect.carriers.iter().enumerate().filter(|(i, _)| is_listed(*i));
    let marked = Marked::by_stamping(listed.map(|(_, (carrier, mask))| (carrier, mask.kept() as u64)));
    let tallies = suspect.sealed(&seeds_on(0, 4, &marked), Dilution::ALL[0]).into_iter().enumerate();
    tallies.filter(|(i, _)| is_listed(*i)).map(|(_, (tally, _))| tally).sum()
}

/// One density each, of which this number says: they enter the seeds too.
fn density(suspect: &Suspect, _: usize, number: u64) -> Tally {
    let kept = |i: usize, size: usize| size >> (1 + (number >> (2 * (i % 30))) % 4);
    let sizes = suspect.carriers.iter().enumerate();
    let marked = Marked::by_stamping(sizes.map(|(i, (c, _))| (c, kept(i, c.shape.size()) as u64)));
    let carriers = suspect.sealed(&seeds_on(0, 4, &marked), Dilution::ALL[0]).into_iter();
    let read = |(i, ((_, map), ranked)): (usize, ((Tally, ChipMap), &Vec<usize>))| {
        let prefix = &ranked[..kept(i, ranked.len())];
        let count = |is: fn(i8) -> bool| prefix.iter().filter(|&&p| is(map.chip[p])).count() as u64;
        Tally::new(count(|chip| chip != 0), count(|chip| chip > 0)).expect("no more hits than trials")
    };
    carriers.zip(&suspect.ranked).enumerate().map(read).sum()
}

/// The best step for each carrier, or none.
fn steps(suspect: &Suspect, _: usize, number: u64) -> Tally {
    let is_step = |n: usize, size: usize| (1..=7).any(|k| n == size.div_ceil(1 << k));
    best_choice(&by_density(suspect, number, is_step))
}

fn lists(suspect: &Suspect, _: usize, number: u64) -> Tally {
    let carriers = suspect.sealed(&seeds(number, 4), Dilution::ALL[0]);
    let options: Vec<Vec<Tally>> = carriers.into_iter().map(|(tally, _)| vec![Tally::default(), tally]).collect();
    best_choice(&options)
}

fn densities(suspect: &Suspect, _: usize, number: u64) -> Tally {
    best_choice(&by_density(suspect, number, |_, _| true))
}

/// What each carrier tallies read by rank: nothing, or as many of its largest weights as are an option, up to half.
fn by_density(suspect: &Suspect, number: u64, is_option: impl Fn(usize, usize) -> bool) -> Vec<Vec<Tally>> {
    let carriers = suspect.sealed(&seeds(number, 4), Dilution::ALL[0]);
    carriers
        .into_iter()
        .zip(&suspect.ranked)
        .map(|((_, map), ranked)| {
            let (mut n, mut hits) = (0, 0);
            let with = |&p: &usize| {
                n += u64::from(map.chip[p] != 0);
                hits += u64::from(map.chip[p] > 0);
                Tally::new(n, hits).expect("no more hits than trials")
            };
            let tallies = ranked[..ranked.len().div_ceil(2)].iter().map(with).enumerate();
            let options = tallies.filter(|(i, _)| is_option(i + 1, ranked.len())).map(|(_, tally)| tally);
            std::iter::once(Tally::default()).chain(options).collect()
        })
        .collect()
}

/// The sum of one option each with the largest excess for its n, nearly: at its slope λ, each option is the best by itself.
fn best_choice(options: &[Vec<Tally>]) -> Tally {
    let excess = |tally: &Tally| 2.0 * tally.hits() as f64 - tally.n() as f64;
    let mut best = Tally::default();
    for start in [0.05, 0.2, 0.5] {
        let mut lambda = start;
        for _ in 0..8 {
            let value = |tally: &&Tally| excess(tally) - lambda * tally.n() as f64;
            let pick = |of: &Vec<Tally>| *of.iter().max_by(|a, b| value(a).total_cmp(&value(b))).expect("some option");
            let sum: Tally = options.iter().map(pick).sum();
            if surprise(sum) > surprise(best) {
                best = sum;
            }
            lambda = excess(&sum) / (2.0 * (sum.n() as f64).max(1.0));
        }
    }
    best
}

/// As if the seeds of the panels did not depend on each other.
fn opening(suspect: &Suspect, part: usize, number: u64) -> Tally {
    let four = PanelCount::new(4).expect("four panels");
    let (panel, seed) = (PanelId::sealed(part as u8 + 1).expect("a panel"), Seed::from_bytes(secret("one", number)));
    let pk = suspect.key.public();
    let count = |(carrier, mask): &(Carrier, Mask)| {
        tally(mask, &chip_map(&[(panel, &seed)], &pk, &Split::Owner(four), carrier, Dilution::ALL[0]), panel)
    };
    suspect.carriers.iter().map(count).sum()
}

/// As if any ordinal were taken.
fn ordinal(suspect: &Suspect, part: usize, number: u64) -> Tally {
    let (carrier, mask) = &suspect.carriers[part];
    let carrier = Carrier { ordinal: number as u32, ..carrier.clone() };
    let (one, panel) = (PanelCount::new(1).expect("one panel"), PanelId::sealed(1).expect("a panel"));
    let seed = Seed::from_bytes([3; 32]);
    tally(
        mask,
        &chip_map(&[(panel, &seed)], &suspect.key.public(), &Split::Owner(one), &carrier, Dilution::ALL[0]),
        panel,
    )
}
