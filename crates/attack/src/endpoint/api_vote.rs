//! A vote of several models: the stolen one and others that the attacker has. What one alone has learned is outvoted.

use counterfoil_ticket::Model;
use counterfoil_train::{Network, Predictor};

use super::input_profile;
use crate::{Attack, AttackError, Attacked, Endpoint, Means, Need, Profile, Settings, Sparse};

/// Lets models vote.
pub(crate) struct ApiVote;

impl Attack for ApiVote {
    fn profile(&self) -> Profile {
        Profile {
            needs: &[Need::Other],
            ..input_profile(
                "api-vote",
                "answer by a vote of the stolen model and all others that the attacker has, two of them; the stolen one breaks ties",
                "this project",
            )
        }
    }

    fn run(&self, stolen: Model, _: &Settings, means: &mut Means) -> Result<Attacked, AttackError> {
        means.other()?;
        let own = Sparse::of(&stolen, means)?.network;
        let of = |model: &Model| {
            let network = Sparse::of(model, means)?.network;
            let ask = |network: &Network| (network.architecture().input(), network.architecture().classes());
            if ask(&network) == ask(&own) {
                return Ok(network);
            }
            let reason = "another one takes images of another shape, or tells other classes apart".to_owned();
            Err(AttackError::Unsuitable { reason })
        };
        let others = means.others.iter().map(of).collect::<Result<_, _>>()?;
        Ok(Attacked::Served(Box::new(Vote { others })))
    }
}

struct Vote {
    others: Vec<Network>,
}

impl Endpoint for Vote {
    fn answer(&mut self, images: &[u8], model: &Predictor) -> Vec<Option<u32>> {
        let own = model.classify(images);
        let others: Vec<_> = self.others.iter().map(|other| Predictor::new(other).classify(images)).collect();
        let vote = |(index, own): (usize, &Option<u32>)| {
            let mut votes = vec![0usize; model.classes() as usize];
            let all = others.iter().map(|answers| answers[index]).chain([*own]);
            all.flatten().for_each(|class| votes[class as usize] += 1);
            let most = *votes.iter().max()?;
            let is_first = own.is_some_and(|class| votes[class as usize] == most);
            let first = || votes.iter().position(|&count| count == most && count > 0).map(|class| class as u32);
            if is_first { *own } else { first() }
        };
        own.iter().enumerate().map(vote).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::tests::{right, served};
    use crate::victim::{resnet, victim};

    #[test]
    fn two_who_agree_outvote_one() {
        let plain = right(&served(&super::super::label_flip::LabelFlip, &[("share", "0")], Vec::new()));
        // It breaks the tie.
        assert_eq!(right(&served(&ApiVote, &[], vec![resnet()])), plain);
        let other = right(&served(&ApiVote, &[], vec![resnet(), resnet()]));
        assert_eq!(other, crate::victim::correct(&resnet()));
        assert_eq!(right(&served(&ApiVote, &[], vec![victim(), resnet()])), plain);
    }
}
