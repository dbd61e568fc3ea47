//! Turning all kernels: the network that sees mirrored or rotated images ("flip" and its kin).
//!
//! For images that look alike from both sides, or a network that was trained with flips, mirroring costs next to nothing and
//! takes no training; a mask that is read in place becomes a shuffled one.

use counterfoil_mark::Turn;
use counterfoil_ticket::{CarrierShape, Model};

use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Turns every kernel of every tensor of rank 4, values and masks alike.
pub fn turn_kernels(model: &mut Model, turn: Turn) {
    for (name, array) in &mut model.arrays {
        let Some(shape) = CarrierShape::of_tensor(array.shape()).filter(|shape| shape.taps() > 1) else { continue };
        let taps = turn.taps([shape.height as usize, shape.width as usize]);
        let source = |position: usize| position - position % taps.len() + taps[position % taps.len()];
        let values = array.values();
        let turned: Vec<f32> = (0..values.len()).map(|position| values[source(position)]).collect();
        array.values_mut().copy_from_slice(&turned);
        if let Some(mask) = model.masks.get_mut(name) {
            *mask = counterfoil_ticket::Mask::from_fn(mask.size(), |position| mask.keeps(source(position)));
        }
    }
}

/// Turns all kernels.
pub(crate) struct Mirror;

impl Attack for Mirror {
    fn profile(&self) -> Profile {
        Profile {
            name: "mirror",
            does: "turn every kernel the same way: the network of turned images",
            class: Class::Structure,
            cost: Cost::None,
            needs: &[],
            source: "this project: no toolbox has it",
            parameters: const {
                &[Parameter::choice(
                    "turn",
                    "mirrored",
                    &[
                        "mirrored",
                        "flipped",
                        "half-turned",
                        "transposed",
                        "anti-transposed",
                        "quarter-turned",
                        "three-quarter-turned",
                    ],
                    "which of the seven symmetries of the square",
                )]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, _: &mut Means) -> Result<Attacked, AttackError> {
        let turn = Turn::ALL.into_iter().find(|turn| turn.name() == settings.word("turn"));
        turn_kernels(&mut stolen, turn.expect("the words are the turns' names"));
        Ok(Attacked::Model(stolen))
    }
}

#[cfg(test)]
mod tests {
    use counterfoil_ticket::{Array, Mask};

    use super::*;

    #[test]
    fn every_turn_has_its_word() {
        let words = Mirror.profile().parameters[0].range;
        let names = Turn::ALL.map(Turn::name);
        assert!(matches!(words, crate::Range::Choice { words } if words == names.as_slice()), "{words}");
    }

    #[test]
    fn kernels_are_turned_and_nothing_else() {
        let mut model = Model::default();
        let values: Vec<f32> = (0..18).map(|v| v as f32).collect();
        model.arrays.insert("conv.weight".to_owned(), Array::new(vec![2, 1, 3, 3], values.clone()).unwrap());
        model.arrays.insert("fc.weight".to_owned(), Array::new(vec![2, 9], values.clone()).unwrap());
        model.masks.insert("conv.weight".to_owned(), Mask::from_fn(18, |p| p == 9));
        turn_kernels(&mut model, Turn::Mirrored);
        let mirrored = [2.0, 1.0, 0.0, 5.0, 4.0, 3.0, 8.0, 7.0, 6.0];
        assert_eq!(model.arrays["conv.weight"].values()[..9], mirrored);
        assert_eq!(model.arrays["conv.weight"].values()[9..], mirrored.map(|v| v + 9.0));
        assert_eq!(model.arrays["fc.weight"].values(), values);
        assert_eq!(model.masks["conv.weight"], Mask::from_fn(18, |p| p == 11));
        turn_kernels(&mut model, Turn::Mirrored);
        assert_eq!(model.arrays["conv.weight"].values(), values);
    }
}
