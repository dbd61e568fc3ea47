//! The paper's QR code in the channel connectivity (Chen et al. 2021, arXiv 2111.00162, section 3.3), by crate `mark`.

use counterfoil_mark::masks_of;
use counterfoil_mark::qr::{Format, Reader, Request, Whereabouts, embed};
use counterfoil_ticket::Model;
use counterfoil_train::Network;
use counterfoil_train::data::Dataset;

use super::{Mark, secret};
use crate::OtherMark;

pub(super) struct Qr;

/// What a code says: 24 hexadecimal digits, as many as a version-3 code of level H holds.
fn text(seed: u64) -> String {
    format!("{:016x}{:08x}", secret("qr", seed), secret("qr, more", seed) >> 32)
}

impl Mark for Qr {
    fn name(&self) -> &'static str {
        "qr"
    }

    fn on_ticket(&self, ticket: Model, seed: u64) -> Result<Model, String> {
        let request =
            Request { text: &text(seed), format: Format::default(), whereabouts: Whereabouts::Anywhere, seed };
        embed(&ticket, &request).map(|embedded| embedded.model).map_err(|error| error.to_string())
    }

    fn read(&self, suspect: &Model, _: Option<&Network>, _: &Model, seed: u64, _: &Dataset) -> OtherMark {
        let (reader, masks) = (Reader::new([Format::default()]), masks_of(suspect));
        let carriers = suspect.carriers().into_iter().filter(|carrier| masks.contains_key(&carrier.name));
        let codes: Vec<String> = carriers
            .flat_map(|carrier| reader.read(&carrier, &masks[&carrier.name]))
            .map(|found| found.code.text)
            .collect();
        let holds = codes.contains(&text(seed));
        // No p: a code has no secret, whoever sees it can lay it over another model.
        let reading = if holds { "decodes" } else { "does not decode" };
        OtherMark { name: "qr".to_owned(), log2_p: None, holds, reading: reading.to_owned() }
    }
}
