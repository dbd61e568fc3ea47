//! A QR code as PNG.

use std::io::Cursor;

use counterfoil_mark::qr::Picture;
use image::{GrayImage, ImageFormat, Luma};

/// Pixels along a module.
const MODULE: u32 = 8;

/// Light modules around the code, as ISO/IEC 18004 asks for.
const QUIET: u32 = 4;

/// Black on white; the same code gives the same bytes.
pub(crate) fn png(code: &Picture) -> Vec<u8> {
    let side = code.side() as u32;
    let size = (side + 2 * QUIET) * MODULE;
    let module = |pixel: u32| (pixel / MODULE).checked_sub(QUIET).filter(|module| *module < side);
    let is_dark = |x: u32, y: u32| match (module(y), module(x)) {
        (Some(row), Some(column)) => code.is_dark(row as usize, column as usize),
        _ => false,
    };
    let image = GrayImage::from_fn(size, size, |x, y| Luma([if is_dark(x, y) { 0 } else { 255 }]));
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).expect("writing to memory does not fail");
    bytes.into_inner()
}
