//! `attack`: what somebody does to a stolen model, to see what its mark withstands.

use std::collections::BTreeMap;
use std::path::PathBuf;

use counterfoil_attack::{Attacked, Insight, Means, Need, Profile, Settings, attack, attacks, handed_on, stolen};
use counterfoil_mark::masks_of;
use counterfoil_ticket::{Kind, Mask, Model, ModelFile};
use counterfoil_train::data::{Augmentation, DataSource};
use counterfoil_train::{DeviceChoice, Event};

use crate::error::warn;
use crate::output::{print, print_json};
use crate::progress::{Progress, Rounds, Waiting};
use crate::settings::ImagesArgs;
use crate::writing::{Force, Named, check};
use crate::{Error, Exit, open, value};

/// Attack a model, to see what its mark withstands
///
/// Writes the attacked model as a thief would hand it on: plain weights, without masks or history. Train it further with
/// 'counterfoil train' or the attack ft-all to see whether its accuracy recovers, and verify it.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil attack --list
  counterfoil attack prune-mag model.bin --set share=0.5 -o pruned.bin
  counterfoil attack ft-all pruned.bin --set epochs=2 --set rate=0.01 --data digits -o recovered.bin
  counterfoil attack add-back-mag locked.safetensors --rewound ticket.safetensors --set share=0.05 -o guessed.safetensors")]
pub(crate) struct Args {
    /// Which attack; --list says what there is
    #[arg(required_unless_present = "list", value_name = "ATTACK")]
    name: Option<String>,
    /// The model
    #[arg(required_unless_present = "list")]
    model: Option<PathBuf>,
    /// List all attacks: class, cost, what the attacker must have, what can be set
    #[arg(long, conflicts_with_all = ["name", "model", "output", "set"])]
    list: bool,
    /// Print the list, or what was done, as JSON
    #[arg(long)]
    json: bool,
    /// Set a parameter of the attack
    #[arg(long, value_name = "KEY=VALUE", value_parser = value::setting)]
    set: Vec<(String, String)>,
    /// The attacker's images: the training half is what he learns from
    #[arg(long, value_name = "DATA")]
    data: Option<DataSource>,
    #[command(flatten)]
    images: ImagesArgs,
    /// The ticket's rewound weights, if the attacker has them
    #[arg(long, value_name = "FILE")]
    rewound: Option<PathBuf>,
    /// Another model that the attacker has: a second copy, an own ticket; may be repeated
    #[arg(long, value_name = "FILE")]
    other: Vec<PathBuf>,
    /// The owner's public key, if the attacker aims at panel 0
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The owner's claim, for the number of panels and the dilution
    #[arg(long, value_name = "FILE", requires = "key")]
    claim: Option<PathBuf>,
    /// A sealed panel that was disclosed to the attacker; may be repeated
    #[arg(long, value_name = "FILE", requires = "claim")]
    disclosure: Vec<PathBuf>,
    /// Seed of all that is random
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Where to compute: cpu; cuda:N, vulkan or wgpu if built with it
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: DeviceChoice,
    /// Where the attacked model goes
    #[arg(long, short, value_name = "FILE", required_unless_present = "list")]
    output: Option<PathBuf>,
    #[command(flatten)]
    force: Force,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let (Some(name), Some(path), Some(output)) = (&self.name, &self.model, &self.output) else {
            list(self.json)?;
            return Ok(Exit::Success);
        };
        let chosen = attack(name)?;
        let profile = chosen.profile();
        let set = self.set.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let settings = Settings::new(profile.name, profile.parameters, set)?;
        let mut inputs: Vec<Named> = vec![("the model", path)];
        inputs.extend(self.rewound.iter().map(|file| ("the rewound weights", file.as_path())));
        inputs.extend(self.other.iter().map(|file| ("another model", file.as_path())));
        inputs.extend(self.key.iter().map(|file| ("the public key", file.as_path())));
        inputs.extend(self.claim.iter().map(|file| ("the claim", file.as_path())));
        inputs.extend(self.disclosure.iter().map(|file| ("a disclosure", file.as_path())));
        check(&[("the attacked model", output)], &inputs, self.force.overwrite())?;

        let model = ModelFile::open(path)?.read()?;
        if chosen.undoes_a_lock() && model.description.kind != Kind::Locked {
            let file = path.display();
            warn(&format!("{file}: does not say that it is locked: there may be no key mask to guess"));
        }
        let model = stolen(model);
        let data = self.data.as_ref().map(|source| self.images.load(source)).transpose()?;
        let read = |path: &PathBuf| -> Result<Model, Error> { Ok(ModelFile::open(path)?.read_stored()?) };
        let before = masks_of(&model);
        let epochs = settings.values().contains_key("epochs").then(|| settings.count("epochs"));
        let mut progress = match epochs {
            Some(epochs) => Some(Progress::new("attack", Rounds { count: 1, first: epochs, rewind: 0 }, None)?),
            None => None,
        };
        let told = format!("{} may take minutes in a network of this size", profile.name);
        let waiting = epochs.is_none().then(|| Waiting::start(profile.name, &told, [model.carriers()]));
        let mut shown = Ok(());
        let mut on_event = |event: Event| {
            if let (Some(progress), true) = (&mut progress, shown.is_ok()) {
                shown = progress.event(&event);
            }
        };
        let attacked = chosen.run(
            model,
            &settings,
            &mut Means {
                seed: self.seed,
                augmentation: data.as_ref().map_or(Augmentation::NONE, |data| data.augmentation),
                data: data.as_ref(),
                insight: self.insight()?,
                others: self.other.iter().map(|path| Ok(stolen(read(path)?))).collect::<Result<_, Error>>()?,
                rewound: self.rewound.as_ref().map(read).transpose()?,
                device: self.device,
                on_event: &mut on_event,
            },
        )?;
        drop(waiting);
        if let Some(progress) = progress {
            progress.finish();
        }
        shown?;
        let Attacked::Model(attacked) = attacked else { return Err(Error::NoModelLeft { attack: profile.name }) };
        let after = masks_of(&attacked);
        handed_on(attacked).write_safetensors(output, self.force.overwrite())?;
        let kept = |masks: &BTreeMap<String, Mask>| masks.values().map(Mask::kept).sum::<usize>();
        if self.json {
            print_json(&serde_json::json!({
                "attack": profile.name, "settings": settings, "seed": self.seed, "model": path, "output": output,
                "kept": kept(&after), "keptBefore": kept(&before),
            }))?;
        } else {
            print(&format!("{} weights kept, {} before: {}\n", kept(&after), kept(&before), output.display()))?;
        }
        Ok(Exit::Success)
    }

    /// What the attacker knows of the mark.
    fn insight(&self) -> Result<Option<Insight>, Error> {
        let Some(path) = &self.key else { return Ok(None) };
        let key = open::public_key(path)?;
        let (claim, opened) = open::evidence(&key, self.claim.as_deref(), &self.disclosure)?;
        Ok(Some(Insight::new(key, claim.as_ref(), &opened)))
    }
}

/// Prints what attacks there are.
fn list(json: bool) -> Result<(), Error> {
    let profiles: Vec<Profile> = attacks().iter().map(|attack| attack.profile()).collect();
    if json {
        return print_json(&profiles);
    }
    print(&profiles.iter().map(in_words).collect::<String>())
}

fn in_words(profile: &Profile) -> String {
    let needs: Vec<&str> = profile.needs.iter().map(|need: &Need| need.in_words()).collect();
    let needs = if needs.is_empty() { "nothing else".to_owned() } else { needs.join(", ") };
    let mut text = format!(
        "{}\n    {}\n    class {}, cost {}, needs {needs}; {}\n",
        profile.name,
        profile.does,
        profile.class.name(),
        profile.cost.name(),
        profile.source
    );
    for parameter in profile.parameters {
        let about = format!("{}: {} [default: {}]", parameter.about, parameter.range, parameter.default);
        text += &format!("    --set {}=…  {about}\n", parameter.name);
    }
    text
}
