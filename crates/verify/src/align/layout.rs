//! Orders of a tensor's axes: PyTorch's, channels-last, and TensorFlow's. Which one a suspect has, its shapes say.

use counterfoil_ticket::{CarrierShape, Mask};

/// Order of the axes of all of a suspect's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Out, in, height, width; linear layers out, in: PyTorch.
    Oihw,
    /// Out, height, width, in; linear layers out, in: channels-last, TensorFlow Lite.
    Ohwi,
    /// Height, width, in, out; linear layers in, out: TensorFlow.
    Hwio,
}

impl Layout {
    /// All of them, the usual one first.
    pub(crate) const ALL: [Self; 3] = [Self::Oihw, Self::Ohwi, Self::Hwio];

    /// The shape of a carrier whose tensor's axes are in this order, given the shape that they would be taken for.
    pub(crate) fn shape(self, stored: CarrierShape) -> CarrierShape {
        let [a, b, c, d]: [u32; 4] = stored.into();
        let is_linear = (c, d) == (1, 1);
        let [out, inp, height, width] = match (self, is_linear) {
            (Self::Oihw, _) | (Self::Ohwi, true) => [a, b, c, d],
            (Self::Ohwi, false) => [a, d, b, c],
            (Self::Hwio, true) => [b, a, 1, 1],
            (Self::Hwio, false) => [d, c, a, b],
        };
        CarrierShape { out, inp, height, width }
    }

    /// Where a position of a carrier of this shape is stored.
    fn source(self, shape: CarrierShape, position: usize) -> usize {
        let [outputs, inputs, height, width] = <[u32; 4]>::from(shape).map(|d| d as usize);
        let (kernel, tap) = (position / (height * width), position % (height * width));
        let ([o, i], [row, column]) = ([kernel / inputs, kernel % inputs], [tap / width, tap % width]);
        match self {
            Self::Oihw => position,
            Self::Ohwi => ((o * height + row) * width + column) * inputs + i,
            Self::Hwio => ((row * width + column) * inputs + i) * outputs + o,
        }
    }

    /// Values in the usual order.
    pub(crate) fn values(self, shape: CarrierShape, stored: Vec<f32>) -> Vec<f32> {
        match self {
            Self::Oihw => stored,
            _ => (0..stored.len()).map(|position| stored[self.source(shape, position)]).collect(),
        }
    }

    /// A mask in the usual order.
    pub(crate) fn mask(self, shape: CarrierShape, stored: Mask) -> Mask {
        match self {
            Self::Oihw => stored,
            _ => Mask::from_fn(stored.size(), |position| stored.keeps(self.source(shape, position))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_put_back() {
        // Values that say where they belong: out, in, row, column.
        let shape = CarrierShape { out: 2, inp: 3, height: 4, width: 5 };
        let usual: Vec<f32> = (0..shape.size()).map(|p| p as f32).collect();
        let at = |o: usize, i: usize, h: usize, w: usize| (((o * 3 + i) * 4 + h) * 5 + w) as f32;
        let mut ohwi = Vec::new();
        let mut hwio = Vec::new();
        for (a, b, c, d) in
            (0..2).flat_map(|a| (0..4).flat_map(move |b| (0..5).flat_map(move |c| (0..3).map(move |d| (a, b, c, d)))))
        {
            ohwi.push(at(a, d, b, c));
        }
        for (a, b, c, d) in
            (0..4).flat_map(|a| (0..5).flat_map(move |b| (0..3).flat_map(move |c| (0..2).map(move |d| (a, b, c, d)))))
        {
            hwio.push(at(d, c, a, b));
        }
        assert_eq!(Layout::Ohwi.values(shape, ohwi), usual);
        assert_eq!(Layout::Hwio.values(shape, hwio), usual);
        assert_eq!(Layout::Ohwi.shape(CarrierShape { out: 2, inp: 4, height: 5, width: 3 }), shape);
        assert_eq!(Layout::Hwio.shape(CarrierShape { out: 4, inp: 5, height: 3, width: 2 }), shape);
        let linear = CarrierShape { out: 7, inp: 2, height: 1, width: 1 };
        assert_eq!(Layout::Hwio.shape(linear), CarrierShape { out: 2, inp: 7, height: 1, width: 1 });
        assert_eq!(Layout::Ohwi.shape(linear), linear);
    }
}
