//! Where tensors live: the CPU by default, a CUDA device when built with the feature `cuda`.

use std::str::FromStr;

use burn::tensor::Device;

use crate::TrainError;

/// A device as a user names it: `cpu`, `cuda` or `cuda:N`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// Burn's CPU backend (flex).
    #[default]
    Cpu,
    /// The CUDA device of this index.
    Cuda(usize),
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    ///
    /// The binary was built without the backend that the device needs.
    pub fn open(self) -> Result<Device, TrainError> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => Ok(Device::cuda(index)),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(index) => Err(TrainError::DeviceNotBuilt { device: format!("cuda:{index}"), feature: "cuda" }),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = TrainError;

    fn from_str(text: &str) -> Result<Self, TrainError> {
        let unknown = || TrainError::UnknownDevice { found: text.to_owned() };
        match text.split_once(':').map_or((text, "0"), |(kind, index)| (kind, index)) {
            ("cpu", "0") => Ok(Self::Cpu),
            ("cuda", index) => index.parse().map(Self::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_told_by_kind_and_index() {
        let parsed: Vec<_> = ["cpu", "cuda", "cuda:3"].map(|t| t.parse::<DeviceChoice>().ok()).into();
        assert_eq!(parsed, [Some(DeviceChoice::Cpu), Some(DeviceChoice::Cuda(0)), Some(DeviceChoice::Cuda(3))]);
        for wrong in ["gpu", "cuda:x", "cpu:1", ""] {
            let error = wrong.parse::<DeviceChoice>().map_err(|e| e.to_string());
            assert_eq!(error, Err(format!("device '{wrong}' is unknown, expected cpu or cuda:N")));
        }
    }
}
