//! What a claim must satisfy beyond its JSON form, so that no verifier meets an impossible count or an endless loop.
//!
//! Implements the rules of docs/protocol.md, "Claim". They are checked before signing too.

use std::collections::BTreeMap;
use std::fmt::Display;

use counterfoil_ticket::{CarrierShape, Provenance, natural_order};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{
    ClaimBody, ClaimedCarrier, Dilution, PanelCount, PanelStrength, Split, Stamping, StampingMethod, TriggerSettings,
};

/// Most carriers of a claim.
pub const MAX_CARRIERS: usize = 1 << 14;

/// Most positions of one carrier: the key stream that its chips are drawn from ends there (RFC 8439, 32-bit counter).
pub const MAX_POSITIONS: u64 = 1 << 38;

/// Most bytes of a name, the tool's version or a checkpoint's name.
pub const MAX_TEXT: usize = 1024;

/// Most triggers of one panel.
pub const MAX_TRIGGERS: u32 = 1 << 16;

/// Most classes.
pub const MAX_CLASSES: u32 = 1 << 24;

/// Most pixel bytes of one panel's trigger images: 1 GiB, as many as are ever derived.
pub const MAX_TRIGGER_BYTES: u64 = 1 << 30;

/// A field that says something impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {found}, expected {expected}")]
pub struct FieldError {
    /// Path of the field in the JSON.
    pub field: String,
    /// What it says.
    pub found: String,
    /// What it may say.
    pub expected: String,
}

pub(crate) fn check(body: &ClaimBody) -> Result<(), FieldError> {
    check_text("subject[0].name", &body.subject.name)?;
    if let Some(licensee) = &body.licensee {
        check_text("predicate.licensee.name", &licensee.name)?;
        check_licensee(body)?;
    }
    check_carriers(&body.carriers)?;
    let kept = body.carriers.iter().map(|carrier| carrier.kept).sum();
    check_panels(&body.panels, body.sealed_panels, kept)?;
    if let Some(triggers) = &body.triggers {
        check_triggers("predicate.triggers", triggers)?;
    }
    let size = body.carriers.iter().map(|carrier| carrier.shape.size() as u64).fold(0, u64::saturating_add);
    check_stamping(&body.stamping, kept, size)?;
    if let Provenance::PublicCheckpoint(checkpoint) = &body.provenance {
        check_text("predicate.initialWeights.checkpoint", checkpoint)?;
    }
    if OffsetDateTime::parse(&body.created, &Rfc3339).is_err() {
        return Err(field("predicate.created", format!("'{}'", body.created.escape_debug()), "an RFC 3339 time"));
    }
    check_text("predicate.tool", &body.tool)
}

/// Number of positions, `None` if a dimension is 0 or there are more than [`MAX_POSITIONS`].
fn positions(shape: CarrierShape) -> Option<u64> {
    let product = <[u32; 4]>::from(shape).into_iter().try_fold(1u64, |product, d| product.checked_mul(d.into()))?;
    (1..=MAX_POSITIONS).contains(&product).then_some(product)
}

/// Carriers as they are numbered (docs/protocol.md, "Carriers and positions"). Carriers that are not marked are not
/// listed but count, so ordinals rise without having to be consecutive.
fn check_carriers(carriers: &[ClaimedCarrier]) -> Result<(), FieldError> {
    if carriers.is_empty() || carriers.len() > MAX_CARRIERS {
        let expected = format!("1 to {MAX_CARRIERS} carriers");
        return Err(field("predicate.carriers", format!("a list of {}", carriers.len()), expected));
    }
    let order: Vec<_> = carriers.iter().map(|c| (c.name.as_str(), c.shape, c.ordinal)).collect();
    check_numbering("predicate.carriers", &order)?;
    for (i, carrier) in carriers.iter().enumerate() {
        let size = carrier.shape.size() as u64;
        if carrier.kept > size {
            let at = format!("predicate.carriers[{i}].kept");
            return Err(field(at, carrier.kept, format!("at most the {size} positions of '{}'", carrier.name)));
        }
    }
    Ok(())
}

/// Names, shapes and ordinals of a list of carriers: names in natural order (so none twice), shapes of a sensible
/// size, ordinals rising within a shape.
pub(crate) fn check_numbering(list: &str, carriers: &[(&str, CarrierShape, u32)]) -> Result<(), FieldError> {
    let mut last_ordinal: BTreeMap<CarrierShape, u32> = BTreeMap::new();
    for (i, &(name, shape, ordinal)) in carriers.iter().enumerate() {
        let at = |leaf: &str| format!("{list}[{i}].{leaf}");
        check_text(&at("name"), name)?;
        if let Some((before, ..)) = i.checked_sub(1).map(|before| carriers[before])
            && natural_order(before, name).is_ge()
        {
            let expected = format!("a name after '{before}' in natural order");
            return Err(field(at("name"), format!("'{name}'"), expected));
        }
        if positions(shape).is_none() {
            let expected = format!("four dimensions from 1 with at most {MAX_POSITIONS} positions");
            return Err(field(at("shape"), shape, expected));
        }
        if let Some(last) = last_ordinal.insert(shape, ordinal)
            && ordinal <= last
        {
            let expected = format!("more than {last}, the ordinal before it among carriers of shape {shape}");
            return Err(field(at("ordinal"), ordinal, expected));
        }
    }
    Ok(())
}

/// A licensee's mark has one layout and no public panel, and is put in by swaps alone.
fn check_licensee(body: &ClaimBody) -> Result<(), FieldError> {
    const CLAIM: &str = "in a licensee's claim";
    let fields = ["predicate.panels.sealed", "predicate.panels.dilution", "predicate.triggers"];
    check_licensees_layout(fields, CLAIM, body.sealed_panels, body.dilution, body.triggers.as_ref())?;
    if let Some(public) = body.panels.first().filter(|public| public.n > 0) {
        return Err(field("predicate.panels.carried[0].n", public.n, format!("0 {CLAIM}")));
    }
    if body.stamping.method != StampingMethod::Swaps {
        let found = format!("'{}'", body.stamping.method.name());
        return Err(field("predicate.stamping.method", found, format!("'swaps' {CLAIM}")));
    }
    Ok(())
}

/// The one layout that a licensee's mark has, in a claim or a counterfoil; `fields` are their names there.
pub(crate) fn check_licensees_layout(
    fields: [&str; 3],
    there: &str,
    sealed: PanelCount,
    dilution: Dilution,
    triggers: Option<&TriggerSettings>,
) -> Result<(), FieldError> {
    if sealed != Split::LICENSEES {
        return Err(field(fields[0], sealed.get(), format!("1 {there}")));
    }
    if dilution != Dilution::ALL[0] {
        return Err(field(fields[1], dilution.get(), format!("1 {there}")));
    }
    match triggers {
        Some(_) => Err(field(fields[2], "a trigger set", format!("null {there}"))),
        None => Ok(()),
    }
}

/// One tally for each panel, with hits ≤ n; each kept position is in one panel only.
fn check_panels(panels: &[PanelStrength], sealed: PanelCount, kept: u64) -> Result<(), FieldError> {
    let at = "predicate.panels.carried";
    if !panels.iter().map(|strength| strength.panel).eq(sealed.all()) {
        let found: Vec<u8> = panels.iter().map(|strength| strength.panel.get()).collect();
        return Err(field(
            at,
            format!("for the panels {found:?}"),
            format!("one entry each for 0 to {}", sealed.get()),
        ));
    }
    let mut left = kept;
    for (i, strength) in panels.iter().enumerate() {
        if strength.hits > strength.n {
            return Err(field(format!("{at}[{i}].hits"), strength.hits, format!("at most n = {}", strength.n)));
        }
        left = left.checked_sub(strength.n).ok_or_else(|| {
            let expected = format!("at most {left}: the panels share {kept} kept positions");
            field(format!("{at}[{i}].n"), strength.n, expected)
        })?;
    }
    Ok(())
}

pub(crate) fn check_triggers(at: &str, triggers: &TriggerSettings) -> Result<(), FieldError> {
    if !(2..=MAX_CLASSES).contains(&triggers.classes) {
        return Err(field(format!("{at}.classes"), triggers.classes, format!("2 to {MAX_CLASSES}")));
    }
    let most = triggers.public.max(triggers.sealed_each);
    if most == 0 || most > MAX_TRIGGERS {
        let found = format!("{} public and {} for each sealed panel", triggers.public, triggers.sealed_each);
        return Err(field(at, found, format!("at least one and at most {MAX_TRIGGERS} for a panel")));
    }
    let [channels, height, width] = triggers.image.into();
    let bytes = [channels, height, width].into_iter().try_fold(u64::from(most), |n, d| n.checked_mul(d.into()));
    if !bytes.is_some_and(|bytes| (1..=MAX_TRIGGER_BYTES).contains(&bytes)) {
        let found = format!("{most} images of {channels}x{height}x{width}");
        return Err(field(
            format!("{at}.image"),
            found,
            format!("at most {MAX_TRIGGER_BYTES} bytes in all, none empty"),
        ));
    }
    Ok(())
}

fn check_stamping(stamping: &Stamping, kept: u64, size: u64) -> Result<(), FieldError> {
    let (most, what) = match stamping.method {
        StampingMethod::Thinning => (size.saturating_sub(kept), "that are not kept"),
        StampingMethod::Swaps | StampingMethod::KeyedFinding => (kept, "that are kept"),
    };
    if stamping.moved > most {
        return Err(field("predicate.stamping.moved", stamping.moved, format!("at most the {most} positions {what}")));
    }
    for (leaf, number) in [("decay", stamping.decay), ("factor", stamping.factor)] {
        if let Some(number) = number.filter(|number| !(number.is_finite() && *number >= 0.0)) {
            return Err(field(format!("predicate.stamping.{leaf}"), number, "a finite number from 0"));
        }
    }
    Ok(())
}

/// Whether a claim can bear this text: 1 to [`MAX_TEXT`] bytes without control characters. Texts are printed, so they must
/// not steer a terminal.
pub fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control)
}

pub(crate) fn check_text(at: &str, text: &str) -> Result<(), FieldError> {
    if !is_text(text) {
        let found = match text.len() {
            0 => "empty".to_owned(),
            1..=MAX_TEXT => format!("'{}'", text.escape_debug()),
            length => format!("of {length} bytes"),
        };
        return Err(field(at, found, format!("1 to {MAX_TEXT} bytes without control characters")));
    }
    Ok(())
}

pub(crate) fn field(at: impl Into<String>, found: impl Display, expected: impl Display) -> FieldError {
    FieldError { field: at.into(), found: found.to_string(), expected: expected.to_string() }
}
