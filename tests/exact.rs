//! p-values of strangers are what they say: random keys and sealed panels against suspects that have nothing to do
//! with them. How wide the bands are, and why, is said at `assert_calibrated`.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::thread;

use counterfoil_acceptance::{Folder, Random, assert_calibrated, prune_checkpoint, real_mask};
use counterfoil_claim::{Dilution, OwnerKey, PanelCount, PanelId, Seed, Split};
use counterfoil_mark::{Chance, Tally, TriggerSet, chip_map, masks_of, tally};
use counterfoil_ticket::{Carrier, Mask, ModelFile};
use counterfoil_train::{DeviceChoice, Network, classify};

/// How many strangers: 2,000, or what `make test-long` asks for.
fn keys() -> u64 {
    std::env::var("COUNTERFOIL_KEYS").map_or(2_000, |keys| keys.parse().expect("COUNTERFOIL_KEYS is a number"))
}

/// What a stranger tallies on a suspect: its public panel, its first sealed one, and its two sealed ones pooled.
fn stranger(number: u64, dilution: Dilution, suspect: &[(Carrier, Mask)]) -> [Tally; 3] {
    let mut random = Random(number);
    let pk = OwnerKey::from_seed(&random.bytes()).public();
    let sealed = PanelCount::new(2).unwrap();
    let sealed_seed = |panel| (panel, Seed::from_bytes(random.bytes()));
    let mut seeds = vec![(PanelId::PUBLIC, pk.public_seed())];
    seeds.extend(sealed.sealed().map(sealed_seed));
    let seeds: Vec<(PanelId, &Seed)> = seeds.iter().map(|(panel, seed)| (*panel, seed)).collect();
    let mut tallies = [Tally::default(); 3];
    for (carrier, mask) in suspect {
        let map = chip_map(&seeds, &pk, &Split::Owner(sealed), carrier, dilution);
        for (sum, &(panel, _)) in tallies.iter_mut().zip(&seeds) {
            *sum = *sum + tally(mask, &map, panel);
        }
    }
    let [public, first, second] = tallies;
    [public, first, first + second]
}

/// Runs `f` for all strangers, on two threads.
fn strangers<T: Send>(f: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let half = |numbers: std::ops::Range<u64>| numbers.map(&f).collect::<Vec<T>>();
    thread::scope(|scope| {
        let later = scope.spawn(|| half(keys() / 2..keys()));
        let mut all = half(0..keys() / 2);
        all.extend(later.join().unwrap());
        all
    })
}

fn assert_mask_is_calibrated(what: &str, suspect: &[(Carrier, Mask)], dilution: u8) {
    let dilution = Dilution::new(dilution).unwrap();
    let tallies = strangers(|number| stranger(number, dilution, suspect));
    for (i, panel) in ["panel 0", "panel 1", "panels 1 and 2"].into_iter().enumerate() {
        let tallies: Vec<Tally> = tallies.iter().map(|tallies| tallies[i]).collect();
        assert_calibrated(&format!("{what}, {panel}"), &tallies, Chance::HALF);
    }
}

/// The masks of a ticket file, each with its carrier.
fn masks(folder: &Folder, ticket: &str) -> Vec<(Carrier, Mask)> {
    let model = folder.model(ticket);
    let mut masks = masks_of(&model);
    model.carriers().into_iter().filter_map(|carrier| masks.remove(&carrier.name).map(|mask| (carrier, mask))).collect()
}

const FIND: &str = "find --data digits --arch mlp --hidden 64,32 --limit 500 --epochs 4 --rewind 1 --sparsity 0.7 \
                    --prune-share 0.35 -o ticket.safetensors";

#[test]
fn an_unstamped_ticket() {
    let folder = Folder::new();
    folder.succeeds(FIND);
    assert_mask_is_calibrated("unstamped ticket", &masks(&folder, "ticket.safetensors"), 1);
}

#[test]
fn a_ticket_stamped_by_another_key() {
    let folder = Folder::new();
    folder.write_keys("owner", 7);
    folder.succeeds(&FIND.replace("64,32", "200,80"));
    folder.succeeds("stamp ticket.safetensors --key owner.key -o stamped.safetensors --unencrypted");
    let (code, _, _) = folder.run("verify stamped.safetensors --key owner.pub --tests mask");
    assert_eq!(code, 0, "the suspect is stamped");
    assert_mask_is_calibrated("stamped by another key", &masks(&folder, "stamped.safetensors"), 8);
}

#[test]
fn the_real_resnet_20_pruned_to_5_percent() {
    let suspect = real_mask();
    assert_eq!(suspect.iter().map(|(_, mask)| mask.kept()).sum::<usize>(), 13_417); // 5 % of 268,336
    if let Some(made) = prune_checkpoint() {
        assert!(made == suspect, "the committed mask is not that of the checkpoint");
    }
    assert_mask_is_calibrated("real ResNet-20", &suspect, 2);
}

#[test]
fn triggers_on_a_trained_model() {
    const EACH: u32 = 64;
    let folder = Folder::new();
    folder.succeeds(FIND);
    folder.succeeds("train ticket.safetensors --data digits --epochs 6 -o model.bin");
    let model = ModelFile::open(&folder.path("model.bin")).unwrap().read().unwrap();
    let description = model.description.clone();
    let (architecture, normalisation) = (description.architecture.unwrap(), description.normalisation.unwrap());
    let (image, classes) = (architecture.input(), architecture.classes());
    let network = Network::from_model(&model, architecture, normalisation, &DeviceChoice::Cpu.open().unwrap()).unwrap();
    let sets: Vec<TriggerSet> = strangers(|number| {
        let mut random = Random(1 << 32 | number);
        let (pk, seed) = (OwnerKey::from_seed(&random.bytes()).public(), Seed::from_bytes(random.bytes()));
        TriggerSet::derive(&seed, &pk, image, classes, EACH).unwrap()
    });
    let tallies: Vec<Tally> = sets
        .iter()
        .map(|set| {
            let answers = classify(&network, &set.images);
            let hits = answers.iter().zip(&set.labels).filter(|(answer, label)| **answer == Some(**label)).count();
            Tally::new(u64::from(EACH), hits as u64).unwrap()
        })
        .collect();
    assert_calibrated("triggers", &tallies, Chance::one_in(classes));
}
