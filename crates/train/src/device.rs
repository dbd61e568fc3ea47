//! Where tensors live: the CPU by default; a GPU when built with the feature `cuda`, `vulkan` or `wgpu`.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

use crate::TrainError;

/// A device as a user names it: `cpu`, `cuda`, `cuda:N`, `vulkan` or `wgpu`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// Burn's CPU backend (flex), with our kernels.
    #[default]
    Cpu,
    /// The CUDA device of this index.
    Cuda(usize),
    /// The graphics adapter that Burn prefers, by Vulkan and SPIR-V.
    Vulkan,
    /// The graphics adapter that Burn prefers, by whatever graphics API it finds.
    Wgpu,
}

impl DeviceChoice {
    /// Opens the device, and computes something there to see that it works.
    ///
    /// # Errors
    ///
    /// The binary was built without the backend that the device needs, there is no such device, or it does not work.
    pub fn open(self) -> Result<Device, TrainError> {
        #[cfg(not(all(feature = "cuda", feature = "vulkan", feature = "wgpu")))]
        let not_built = |feature| Err(TrainError::DeviceNotBuilt { device: self, feature });
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => gpu::open(self, burn::tensor::DeviceType::Cuda, index, |found| found.clone()),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(_) => not_built("cuda"),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => gpu::open(self, burn::tensor::DeviceType::Vulkan, 0, |_| Device::vulkan(gpu::PREFERRED)),
            #[cfg(not(feature = "vulkan"))]
            Self::Vulkan => not_built("vulkan"),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => gpu::open(self, burn::tensor::DeviceType::Wgpu, 0, |_| Device::wgpu(gpu::PREFERRED)),
            #[cfg(not(feature = "wgpu"))]
            Self::Wgpu => not_built("wgpu"),
        }
    }
}

#[cfg(any(test, feature = "cuda", feature = "vulkan", feature = "wgpu"))]
mod gpu {
    use std::panic::{self, AssertUnwindSafe};

    use burn::tensor::{Device, DeviceType, Tensor};

    use super::DeviceChoice;
    use crate::TrainError;

    /// The adapter that wgpu's own heuristics choose, or CUBECL_WGPU_DEFAULT_DEVICE.
    #[cfg(any(feature = "vulkan", feature = "wgpu"))]
    pub(super) const PREFERRED: burn::tensor::DeviceKind = burn::tensor::DeviceKind::DefaultDevice;

    /// Opens a device of this type if there are more than `index`. Asked first: opening one that is missing panics.
    pub(super) fn open(
        choice: DeviceChoice,
        kind: DeviceType,
        index: usize,
        device: impl FnOnce(&Device) -> Device,
    ) -> Result<Device, TrainError> {
        let found = Device::enumerate(kind);
        let listed = found.get(index).ok_or(TrainError::NoDevice { device: choice, found: found.len() })?;
        let device = device(listed);
        match computes(&device) {
            Ok(()) => Ok(device),
            Err(reason) => Err(TrainError::DeviceFails { device: choice, reason }),
        }
    }

    /// Whether the device adds numbers up; if not, why.
    fn computes(device: &Device) -> Result<(), String> {
        let sum = caught(|| {
            let ones = Tensor::<1>::ones([8], device);
            (ones.clone() + ones).sum().try_into_data()
        })?;
        match sum.map(|data| data.try_to_vec::<f32>().ok()) {
            Ok(Some(sum)) if sum == [16.0] => Ok(()),
            Ok(sum) => Err(format!("eight ones and eight ones add up to {sum:?}")),
            Err(error) => Err(one_line(&error.to_string())),
        }
    }

    /// What `compute` gives or, if it panics, what it says then.
    ///
    /// Burn reports a driver without its compiler library, or an adapter without compute shaders, by a panic at the first
    /// use, on a thread of its own, and raises it again here. This is the one place where a panic is caught.
    pub(super) fn caught<T>(compute: impl FnOnce() -> T) -> Result<T, String> {
        let printed = panic::take_hook();
        panic::set_hook(Box::new(|_| ()));
        let result = panic::catch_unwind(AssertUnwindSafe(compute));
        panic::set_hook(printed);
        result.map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            one_line(text.unwrap_or("its driver gives no reason"))
        })
    }

    /// Without the backtrace that some reasons bring along.
    fn one_line(text: &str) -> String {
        text.lines().next().unwrap_or_default().trim_end_matches(':').to_owned()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Vulkan => f.write_str("vulkan"),
            Self::Wgpu => f.write_str("wgpu"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = TrainError;

    fn from_str(text: &str) -> Result<Self, TrainError> {
        let unknown = || TrainError::UnknownDevice { found: text.to_owned() };
        match text.split_once(':').unwrap_or((text, "0")) {
            ("cpu", "0") => Ok(Self::Cpu),
            ("cuda", index) => index.parse().map(Self::Cuda).map_err(|_| unknown()),
            ("vulkan", "0") => Ok(Self::Vulkan),
            ("wgpu", "0") => Ok(Self::Wgpu),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_told_by_kind_and_index() {
        let parsed: Vec<_> = ["cpu", "cuda", "cuda:3", "vulkan", "wgpu"].map(|t| t.parse::<DeviceChoice>().ok()).into();
        let [cuda, third] = [0, 3].map(DeviceChoice::Cuda);
        assert_eq!(parsed, [DeviceChoice::Cpu, cuda, third, DeviceChoice::Vulkan, DeviceChoice::Wgpu].map(Some));
        for wrong in ["gpu", "cuda:x", "cpu:1", "wgpu:1", ""] {
            let error = wrong.parse::<DeviceChoice>().map_err(|e| e.to_string());
            assert_eq!(error, Err(format!("device '{wrong}' is unknown, expected cpu, cuda:N, vulkan or wgpu")));
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error() {
        let error = DeviceChoice::Cuda(250).open().unwrap_err().to_string();
        let built = "device 'cuda:250' is not there: found";
        let not_built = "device 'cuda:250' needs the feature 'cuda', with which this binary was not built";
        assert!(if cfg!(feature = "cuda") { error.starts_with(built) } else { error == not_built }, "{error}");
    }
    #[test]
    fn a_device_is_opened_if_it_is_listed_and_computes() {
        use burn::tensor::DeviceType;
        let open = |index| gpu::open(DeviceChoice::Cuda(index), DeviceType::Flex, index, |found| found.clone());
        assert_eq!(open(0).unwrap(), Device::flex());
        assert_eq!(open(1).unwrap_err().to_string(), "device 'cuda:1' is not there: found 1 of its kind");
    }

    #[test]
    fn a_driver_s_panic_is_a_reason() {
        let reason = gpu::caught(|| panic!("no adapter:\n{}", "a backtrace")).unwrap_err();
        assert_eq!(reason, "no adapter");
        assert_eq!(gpu::caught(|| 3), Ok(3));
    }
}
