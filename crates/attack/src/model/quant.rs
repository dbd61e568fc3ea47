//! Weights of few bits.
//!
//! A zero stays 0 where the grid has a 0; a grid from the smallest to the largest weight has none, and there all pruned weights
//! are the same small number. Files that hold the whole numbers themselves say 0 by their zero point.

use counterfoil_ticket::{Array, Element, Model};
use half::{bf16, f16};

use crate::structure::factor::undescribed;
use crate::structure::wired::remasked;
use crate::{Attack, AttackError, Attacked, Class, Cost, Means, Parameter, Profile, Settings};

/// Quantises weights.
pub(crate) struct Quant;

impl Attack for Quant {
    fn profile(&self) -> Profile {
        Profile {
            name: "quant",
            does: "round the weights to few bits; files of codes are not evaluated here",
            class: Class::Model,
            cost: Cost::None,
            needs: &[],
            source: "weight quantisation: Lukas et al. 2022 (arXiv 2108.04974); grids without a zero: this project",
            parameters: const {
                &[
                    Parameter::choice("format", "integer", &["integer", "fp16", "bf16"], "what weights become"),
                    Parameter::count("bits", "8", [2, 16], "bits of an integer"),
                    Parameter::choice("scale", "tensor", &["tensor", "channel"], "what shares a grid of integers"),
                    Parameter::choice(
                        "zero",
                        "symmetric",
                        &["symmetric", "affine", "off-grid"],
                        "where 0 is: code 0, another code, or between two codes",
                    ),
                    Parameter::choice(
                        "stored",
                        "values",
                        &["values", "codes"],
                        "numbers that the codes stand for, or the codes with NAME_scale and NAME_zero",
                    ),
                ]
            },
        }
    }

    fn run(&self, mut stolen: Model, settings: &Settings, _: &mut Means) -> Result<Attacked, AttackError> {
        let round: fn(f32) -> f32 = match settings.word("format") {
            "fp16" => |v| f16::from_f32(v).to_f32().clamp(f16::MIN.to_f32(), f16::MAX.to_f32()),
            "bf16" => |v| bf16::from_f32(v).to_f32(),
            _ => return Ok(Attacked::Model(quantised(stolen, settings))),
        };
        for array in stolen.arrays.values_mut().filter(|array| array.element() == Element::Float) {
            array.values_mut().iter_mut().for_each(|v| *v = round(*v));
        }
        Ok(Attacked::Model(remasked(stolen)))
    }
}

fn quantised(mut model: Model, settings: &Settings) -> Model {
    let are_codes = settings.word("stored") == "codes";
    for carrier in model.carriers() {
        let Some(array) = model.arrays.get_mut(&carrier.name) else { continue };
        let run = if settings.word("scale") == "channel" { carrier.shape.row() } else { carrier.shape.size() };
        let (mut scales, mut zeros) = (Vec::new(), Vec::new());
        for values in array.values_mut().chunks_exact_mut(run) {
            let grid = Grid::of(values, settings);
            values.iter_mut().for_each(|v| *v = if are_codes { grid.code(*v) } else { grid.value(grid.code(*v)) });
            scales.push(grid.step);
            zeros.push(grid.zero);
        }
        if are_codes {
            let (shape, values) = (array.shape().to_vec(), array.values().to_vec());
            let codes = Array::with_element(shape, values, Element::Integer).expect("the shape is the weight's");
            model.arrays.insert(carrier.name.clone(), codes);
            for (kind, values) in [("scale", scales), ("zero", zeros)] {
                let array = Array::new(vec![values.len()], values).expect("as many as there are");
                model.arrays.insert(format!("{}_{kind}", carrier.name), array);
            }
        }
    }
    if are_codes { undescribed(Model { masks: Default::default(), ..model }) } else { remasked(model) }
}

/// Numbers that codes stand for: (code − zero) · step.
struct Grid {
    step: f32,
    /// A whole number where a code stands for 0.
    zero: f32,
    codes: [f32; 2],
}

impl Grid {
    fn of(values: &[f32], settings: &Settings) -> Self {
        let levels = (1u32 << settings.count("bits")) as f32;
        let [least, most] = values.iter().fold([0f32; 2], |[least, most], v| [least.min(*v), most.max(*v)]);
        let step = |range: f32, steps: f32| if range > 0.0 { range / steps } else { 1.0 };
        if settings.word("zero") == "symmetric" {
            let largest = levels / 2.0 - 1.0;
            return Self { step: step(most.max(-least), largest), zero: 0.0, codes: [-largest, largest] };
        }
        let (step, codes) = (step(most - least, levels - 1.0), [0.0, levels - 1.0]);
        let zero = -least / step;
        match settings.word("zero") {
            "affine" => Self { step, zero: zero.round(), codes },
            // As far from every code as it can be.
            _ => Self { step, zero: (zero.floor() + 0.5).min(levels - 1.5), codes },
        }
    }

    fn code(&self, value: f32) -> f32 {
        (value / self.step + self.zero).round().clamp(self.codes[0], self.codes[1])
    }

    fn value(&self, code: f32) -> f32 {
        (code - self.zero) * self.step
    }
}

#[cfg(test)]
mod tests {
    use crate::kit::{RESNET20, attacked, difference, kept, sparse_model};

    #[test]
    fn zeros_stay_where_the_grid_has_a_zero() {
        let model = sparse_model(RESNET20(), 0.3);
        for set in [&[("format", "fp16")][..], &[("format", "bf16")], &[], &[("zero", "affine"), ("scale", "channel")]]
        {
            let quantised = attacked("quant", &model, set).unwrap();
            assert!(kept(&quantised) <= kept(&model) && kept(&quantised) * 100 > kept(&model) * 98, "{set:?}");
            assert!(difference(&model, &quantised) < 0.1, "{set:?}: {}", difference(&model, &quantised));
        }
        let four = attacked("quant", &model, &[("bits", "4"), ("zero", "off-grid")]).unwrap();
        let weights = four.arrays["layer2.1.conv1.weight"].values();
        let mut distinct: Vec<f32> = weights.to_vec();
        distinct.sort_by(f32::total_cmp);
        distinct.dedup();
        assert!(distinct.len() <= 16 && !distinct.contains(&0.0), "{distinct:?}");
    }

    #[test]
    fn codes_are_whole_numbers_with_a_zero_point() {
        let model = sparse_model(RESNET20(), 0.3);
        let codes = attacked("quant", &model, &[("zero", "affine"), ("stored", "codes")]).unwrap();
        let name = "layer2.1.conv1.weight";
        let zero = codes.arrays[&format!("{name}_zero")].values()[0];
        assert!(zero != 0.0 && zero.fract() == 0.0);
        let values = codes.arrays[name].values();
        assert!(values.iter().all(|v| v.fract() == 0.0 && (0.0..256.0).contains(v)));
        let at_zero = values.iter().filter(|v| **v == zero).count();
        assert!(at_zero >= values.len() - model.masks[name].kept());
    }
}
