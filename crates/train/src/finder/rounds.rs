//! Train, prune, rewind, and again: what iterative finders share.

use counterfoil_ticket::Model;

use super::course::Course;
use super::{Masks, Scores, Search};
use crate::TrainError;
use crate::checkpoint::State;
use crate::sgd::Hold;
use crate::training::Event;

/// Most pruning rounds.
pub(crate) const MAX_ROUNDS: u32 = 10_000;

/// Rounds of training, pruning and rewinding, until `left` says that there are none left, but at least one: the weights of the
/// rewinding epoch come from the first.
///
/// `prune` gives the masks that the round's pruning leaves, and a value of 0 or more of each position by which it chose.
pub(crate) fn in_rounds(
    search: &mut Search,
    left: impl Fn(&Course) -> u32,
    extra_decay: State,
    mut prune: impl FnMut(&Course, &mut Search) -> Result<(Masks, Scores), TrainError>,
) -> Result<Model, TrainError> {
    let masks = search.full_masks();
    let mut course = Course::begin(search, masks, State::new())?;
    search.check_leaves_some()?;
    while let rounds @ 1.. = left(&course).max(u32::from(course.round == 0)) {
        let rounds = rounds.saturating_add(course.round);
        let hold = Hold::new(&course.learner.network, &course.masks, extra_decay.clone());
        course.finish_round(search, rounds, |course, search, seed| {
            course.learner.train_epoch(search.examples, &search.aim.schedule, &hold, seed, search.on_event)
        })?;
        let (masks, values) = prune(&course, search)?;
        course.round += 1;
        course.prune_to(masks, &values);
        let (kept, of) = course.counts();
        (search.on_event)(Event::Pruned { round: course.round, rounds, kept, of });
        course.rewind(search);
        course.save(search)?;
    }
    Ok(course.ticket(search))
}
