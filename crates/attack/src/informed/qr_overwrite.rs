//! A second QR code laid over the channels' connectivity.

use counterfoil_mark::qr::{Format, Level, Request, Version, Whereabouts, embed, short_id};
use counterfoil_ticket::Model;

use super::known::{fill_pruned, pruned};
use super::overwrite::{NEW_SIZE, own_key};
use crate::sparse::with_masks;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Lays a code over the model.
pub(crate) struct QrOverwrite;

impl Attack for QrOverwrite {
    fn profile(&self) -> Profile {
        Profile {
            name: "qr-overwrite",
            does: "lay a QR code that names another key over the model, where it fits best",
            class: Class::Informed,
            cost: Cost::None,
            needs: &[],
            source: "Chen et al. 2021 (arXiv 2111.00162), section 4.3",
            parameters: const {
                &[Parameter::count("version", "3", [3, 10], "version of the code, of level H: its size"), NEW_SIZE]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        pruned(&stolen)?;
        fill_pruned(&mut stolen, settings.number("size"), means.seed);
        let version = u8::try_from(settings.count("version")).ok().and_then(Version::new);
        let format = Format { version: version.expect("the range is that of versions"), level: Level::H };
        let text = short_id(&own_key(means.seed).public());
        let request = Request { text: &text, format, whereabouts: Whereabouts::Anywhere, seed: means.seed };
        let embedded =
            embed(&stolen, &request).map_err(|error| AttackError::Unsuitable { reason: error.to_string() })?;
        Ok(Attacked::Model(with_masks(stolen, embedded.model.masks)))
    }
}
