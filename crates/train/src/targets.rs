//! What examples are to be answered: their labels, softened ones, or the answers of another network.

use crate::predictor::Predictor;

/// What the examples of a training are to be answered.
#[derive(Debug, Clone, Copy, Default)]
pub enum Targets<'a> {
    /// Their labels.
    #[default]
    Labels,
    /// Their labels, but for a share that is spread evenly over all classes (label smoothing: Szegedy et al. 2016, arXiv
    /// 1512.00567, section 7).
    Smoothed {
        /// The share, 0 to 1.
        share: f32,
        /// Number of classes.
        classes: u32,
    },
    /// Another network's probabilities of the very images that are shown, both networks' logits divided by the temperature
    /// (Hinton et al. 2015, arXiv 1503.02531, section 2; their soft targets alone).
    Taught {
        /// The other network.
        teacher: &'a Predictor<'a>,
        /// Above 0.
        temperature: f32,
    },
}

/// Probabilities that a batch is to be answered with.
#[derive(Debug, Clone)]
pub(crate) struct Soft {
    /// `[n, classes]`.
    pub(crate) probabilities: Vec<f32>,
    /// What logits are divided by. The loss is multiplied by its square, so that gradients keep their size.
    pub(crate) temperature: f32,
}

impl Targets<'_> {
    /// Of a batch of images; `None` where the labels say it all.
    pub(crate) fn soft(&self, images: &[u8], labels: &[u32]) -> Option<Soft> {
        match *self {
            Self::Labels => None,
            Self::Smoothed { share, classes } => {
                let others = share / classes as f32;
                let probability = |&label: &u32| {
                    (0..classes).map(move |class| if class == label { 1.0 - share + others } else { others })
                };
                Some(Soft { probabilities: labels.iter().flat_map(probability).collect(), temperature: 1.0 })
            }
            Self::Taught { teacher, temperature } => {
                let classes = teacher.classes() as usize;
                let logits = teacher.logits(images);
                let probabilities = logits.chunks_exact(classes).flat_map(|logits| softmax(logits, temperature));
                Some(Soft { probabilities: probabilities.collect(), temperature })
            }
        }
    }
}

/// Probabilities of logits at a temperature above 0.
pub fn softmax(logits: &[f32], temperature: f32) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|logit| ((logit - most) / temperature).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_evens_probabilities_out() {
        let hot = softmax(&[2.0, 0.0], 2.0);
        assert!((hot[0] - 0.731_058_6).abs() < 1e-6 && (hot[0] + hot[1] - 1.0).abs() < 1e-6, "{hot:?}");
        assert!(softmax(&[2.0, 0.0], 1.0)[0] > 0.88);
    }

    #[test]
    fn smoothing_takes_a_share_off_the_label_and_spreads_it() {
        let smoothed = Targets::Smoothed { share: 0.3, classes: 3 };
        let soft = smoothed.soft(&[], &[1]).unwrap();
        soft.probabilities.iter().zip([0.1, 0.8, 0.1]).for_each(|(p, q)| assert!((p - q).abs() < 1e-6));
    }
}
