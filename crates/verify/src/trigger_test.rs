//! The trigger tests: a black box is asked, and its answers are compared with labels that it cannot know.
//!
//! Implements docs/protocol.md, "Evidence", for triggers. Refused answers are misses, never left out: an endpoint that
//! answers only what it knows would otherwise look better than it is. Panels are pooled by adding.

use counterfoil_mark::{EITHER_BITS, Tally, TriggerSet, usual_triggers};

use crate::choice::{disclosure_bits, trigger_bits};
use crate::decisive_test::Test;
use crate::report::Skipped;
use crate::search::Search;
use crate::{BlackBox, TestKind, VerifyError};

/// Most images that a black box gets at once.
pub const IMAGES_AT_ONCE: usize = 128;

/// Asks the triggers of every level, or notes why a level is skipped.
pub(crate) fn test_triggers(
    black_box: &mut dyn BlackBox,
    search: &Search,
    with_mask: bool,
    skipped: &mut Vec<Skipped>,
) -> Result<Vec<Test>, VerifyError> {
    let (input, classes) = (black_box.input(), black_box.classes());
    let settings = search.claim.map(|claim| claim.triggers);
    let charge = if with_mask { EITHER_BITS } else { 0 };
    let mut tests = Vec::new();
    for level in search.levels() {
        let count = |panel| match &settings {
            Some(claimed) => claimed.map_or(0, |triggers| triggers.count(panel)),
            None => usual_triggers(classes),
        };
        let reason = match settings {
            Some(None) => Some("the claim states no triggers".to_owned()),
            Some(Some(t)) if (t.image, t.classes) != (input, classes) => Some(format!(
                "the claim's triggers are images {}x{}x{} of {} classes, the black box takes {}x{}x{} of {classes}",
                t.image.channels, t.image.height, t.image.width, t.classes, input.channels, input.height, input.width
            )),
            _ if search.panels(level).all(|(panel, _)| count(panel) == 0) => {
                Some("the claim states no triggers for its panels".to_owned())
            }
            _ => None,
        };
        if let Some(reason) = reason {
            skipped.push(Skipped { kind: TestKind::Trigger, level: Some(level), reason });
            continue;
        }
        let mut panels = Vec::new();
        for (panel, seed) in search.panels(level) {
            let set = TriggerSet::derive(seed, search.key, input, classes, count(panel))
                .map_err(|source| VerifyError::Triggers { panel: panel.get(), source })?;
            panels.push((panel, ask(black_box, &set)?));
        }
        let choice = settings.flatten().map_or(0, |triggers| trigger_bits(search, level, &triggers));
        let charge = charge + disclosure_bits(search, level);
        tests.push(Test::of_triggers(level, panels, classes, charge, choice));
    }
    Ok(tests)
}

/// Asks for all images of a set.
fn ask(black_box: &mut dyn BlackBox, set: &TriggerSet) -> Result<Tally, VerifyError> {
    let mut hits = 0;
    let images = set.images.chunks(IMAGES_AT_ONCE * set.shape.size());
    for (images, labels) in images.zip(set.labels.chunks(IMAGES_AT_ONCE)) {
        let answers = black_box.classify(images)?;
        if answers.len() != labels.len() {
            return Err(VerifyError::AnswerCount { found: answers.len(), expected: labels.len() });
        }
        hits += labels.iter().zip(answers).filter(|(label, answer)| *answer == Some(**label)).count() as u64;
    }
    Ok(Tally::new(set.labels.len() as u64, hits).expect("each trigger is a hit at most once"))
}
