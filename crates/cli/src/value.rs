//! Values of options that are more than numbers: bits, shares, normalisations. What is refused is told by clap.

use counterfoil_claim::{Dilution, MAX_TEXT, PanelCount, PanelId, is_text};
use counterfoil_mark::Log2P;
use counterfoil_mark::qr::{MAX_VERSION, Version};
use counterfoil_ticket::{Normalisation, Pattern};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Most bits that can be asked for: a mark of so many has some 200,000 kept positions in a panel.
const MOST_BITS: f64 = 100_000.0;

/// A number of bits below 0.
pub(crate) fn bits(text: &str) -> Result<Log2P, String> {
    let bits = text.parse().ok().and_then(Log2P::new).filter(|p| p.bits() < 0.0);
    match bits.ok_or_else(|| "expected a number of bits below 0, such as -64".to_owned())? {
        p if p.bits() < -MOST_BITS => Err(format!("expected a number of bits from -{MOST_BITS} to below 0")),
        p => Ok(p),
    }
}

/// A share above 0, at most 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share: &f64| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "expected a share above 0 and at most 1, such as 0.05".to_owned())
}

/// A share that leaves something: above 0, below 1.
pub(crate) fn part(text: &str) -> Result<f64, String> {
    let part = text.parse().ok().filter(|part: &f64| *part > 0.0 && *part < 1.0);
    part.ok_or_else(|| "expected a share above 0 and below 1, such as 0.05".to_owned())
}

/// A learning rate.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate > 0.0 && rate.is_finite());
    rate.ok_or_else(|| "expected a learning rate above 0, such as 0.1".to_owned())
}

/// A momentum.
pub(crate) fn momentum(text: &str) -> Result<f64, String> {
    let momentum = text.parse().ok().filter(|momentum| (0.0..1.0).contains(momentum));
    momentum.ok_or_else(|| "expected a momentum, at least 0 and below 1".to_owned())
}

/// A setting, KEY=VALUE.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(key, _)| !key.is_empty());
    parts.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "expected KEY=VALUE".to_owned())
}

/// A number of things, at least 1.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "expected a whole number from 1".to_owned())
}

/// A weight decay.
pub(crate) fn decay(text: &str) -> Result<f64, String> {
    let decay = text.parse().ok().filter(|decay| (0.0..1.0).contains(decay));
    decay.ok_or_else(|| "expected a weight decay, at least 0 and below 1".to_owned())
}

/// A dilution of the chips.
pub(crate) fn dilution(text: &str) -> Result<Dilution, String> {
    text.parse().ok().and_then(Dilution::new).ok_or_else(|| "expected 1, 2, 4 or 8".to_owned())
}

/// A version of QR codes.
pub(crate) fn qr_version(text: &str) -> Result<Version, String> {
    text.parse().ok().and_then(Version::new).ok_or_else(|| format!("expected 1 to {MAX_VERSION}"))
}

/// A number of sealed panels.
pub(crate) fn panel_count(text: &str) -> Result<PanelCount, String> {
    text.parse().ok().and_then(PanelCount::new).ok_or_else(|| "expected 1 to 4".to_owned())
}

/// A sealed panel.
pub(crate) fn sealed_panel(text: &str) -> Result<PanelId, String> {
    let panel = text.parse().ok().and_then(PanelId::sealed);
    panel.ok_or_else(|| "expected a sealed panel, 1 to 4 (panel 0 is public as it is)".to_owned())
}

/// A name that a claim can bear.
pub(crate) fn licensee(text: &str) -> Result<String, String> {
    is_text(text)
        .then(|| text.to_owned())
        .ok_or_else(|| format!("expected 1 to {MAX_TEXT} bytes without control characters"))
}

/// A pattern `N:M`.
pub(crate) fn pattern(text: &str) -> Result<Pattern, String> {
    let numbers = text.split_once(':').and_then(|(n, m)| Some((n.parse().ok()?, m.parse().ok()?)));
    let pattern = numbers.and_then(|(n, m)| Pattern::new(n, m));
    pattern.ok_or_else(|| "expected N:M with 1 <= N < M <= 64, such as 2:4".to_owned())
}

/// A time as RFC 3339 writes it.
pub(crate) fn time(text: &str) -> Result<String, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map(|_| text.to_owned());
    time.map_err(|_| "expected a time such as 2026-01-31T12:00:00Z".to_owned())
}

/// `MEAN:STD`, each one number or one for each channel, separated by commas.
pub(crate) fn normalisation(text: &str) -> Result<Normalisation, String> {
    let numbers = |text: &str| text.split(',').map(|n| n.trim().parse().ok()).collect::<Option<Vec<f32>>>();
    let parsed = text.split_once(':').and_then(|(mean, std)| Some((numbers(mean)?, numbers(std)?)));
    match parsed {
        Some((mean, std))
            if mean.len() == std.len()
                && mean.iter().all(|m| m.is_finite())
                && std.iter().all(|s| s.is_finite() && *s > 0.0) =>
        {
            Ok(Normalisation { mean, std })
        }
        _ => Err(
            "expected MEAN:STD on the scale 0 to 1, as many of each, such as 0.5:0.25 or 0.49,0.48,0.45:0.2,0.2,0.2"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_refused() {
        assert_eq!(bits("-64").map(Log2P::bits), Ok(-64.0));
        assert!(["0", "64", "NaN", "-inf", "x"].into_iter().all(|text| bits(text).is_err()));
        assert_eq!(bits("-1e5").map(Log2P::bits), Ok(-1e5));
        let expected = Err("expected a number of bits from -100000 to below 0".to_owned());
        assert_eq!(["-100001", "-1e300"].map(bits), [expected.clone(), expected]);
        assert_eq!(share("1"), Ok(1.0));
        assert!(["0", "1.01", "-0.1", "NaN", "5%"].into_iter().all(|text| share(text).is_err()));
        assert_eq!(part("0.99"), Ok(0.99));
        assert!(["0", "1", "-0.1", "NaN", "5%"].into_iter().all(|text| part(text).is_err()));
        assert_eq!(rate("1e30"), Ok(1e30));
        assert!(["0", "-0.1", "inf", "NaN"].into_iter().all(|text| rate(text).is_err()));
        assert_eq!(momentum("0"), Ok(0.0));
        assert!(["1", "-0.1", "NaN"].into_iter().all(|text| momentum(text).is_err()));
        assert!(["0", "3", "16", "256"].into_iter().all(|text| dilution(text).is_err()));
        assert_eq!(pattern("2:4"), Ok(Pattern::new(2, 4).expect("is one")));
        assert!(["2", "0:4", "4:4", "1:65", "2:4:8", "-1:4"].into_iter().all(|text| pattern(text).is_err()));
        assert!(["0", "5"].into_iter().all(|text| panel_count(text).is_err() && sealed_panel(text).is_err()));
    }

    #[test]
    fn normalisations_have_as_many_means_as_deviations() {
        let (mean, std) = (vec![0.5, 0.25], vec![0.125, 1.0]);
        assert_eq!(normalisation("0.5,0.25:0.125, 1"), Ok(Normalisation { mean, std }));
        assert!(["0.5", "0.5:0", "0.5,0.5:1", "a:b", ":"].into_iter().all(|text| normalisation(text).is_err()));
    }
}
