//! Black boxes: suspects that only answer queries.

use counterfoil_ticket::ImageShape;

/// A suspect that classifies images, wherever it runs: a network in memory, a served endpoint, recorded answers.
pub trait BlackBox {
    /// Shape of the images that it takes.
    fn input(&self) -> ImageShape;

    /// Number of classes that it tells apart.
    fn classes(&self) -> u32;

    /// The class of each image, in order; `None` where the answer was refused or made no sense, which counts as a miss.
    ///
    /// `images` is `[n, channels, height, width]` of bytes v, to enter the model as v / 255 under its own normalisation;
    /// n is at most [`IMAGES_AT_ONCE`](crate::IMAGES_AT_ONCE). Fails if no answer could be had at all, as when the
    /// network is down: that says nothing about the suspect.
    fn classify(&mut self, images: &[u8]) -> Result<Vec<Option<u32>>, BlackBoxError>;
}

/// Why a black box gave no answers.
#[derive(Debug, thiserror::Error)]
#[error("the black box could not be asked")]
pub struct BlackBoxError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl BlackBoxError {
    /// With its reason.
    pub fn new(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}
