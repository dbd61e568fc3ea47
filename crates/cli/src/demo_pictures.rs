//! The demo's pictures: which positions of a mask moved, and how the suspects compare with the threshold.

use counterfoil_ticket::{Mask, Model};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Pixels of one position of a mask.
const CELL: i32 = 4;
/// Most output channels and inputs of the carrier that are drawn.
const MOST: usize = 144;
/// Margin and room for titles.
const MARGIN: i32 = 40;

const KEPT: RGBColor = RGBColor(176, 186, 196);
const DROPPED: RGBColor = RGBColor(196, 60, 48);
const ADDED: RGBColor = RGBColor(30, 130, 76);
const PASSED: RGBColor = RGBColor(46, 110, 158);

/// What the SVG backend fails with; in memory it does not.
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// The mask of one layer before and after stamping: a row an output channel, a column an input tap; what was dropped is
/// red on the left, what was taken in is green on the right. `None` if nothing moved, or in no layer small enough to draw.
pub(crate) fn draw_moves(before: &Model, after: &Model) -> Option<String> {
    let moved = |name: &str| before.masks[name].kept() - before.masks[name].overlap(&after.masks[name]);
    let fits = |name: &&String| {
        let rows = before.arrays[*name].shape()[0];
        rows <= MOST && before.masks[*name].size() / rows <= MOST
    };
    let name = before.masks.keys().filter(fits).max_by_key(|name| moved(name)).filter(|name| moved(name) > 0)?;
    let (old, new) = (&before.masks[name], &after.masks[name]);
    let rows = before.arrays[name].shape()[0];
    let columns = old.size() / rows;
    let width = CELL * columns as i32;
    let size = ((2 * width + 3 * MARGIN) as u32, (CELL * rows as i32 + 2 * MARGIN) as u32);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let panels = [
            (MARGIN, old, new, DROPPED, format!("{name}: before, {} to be dropped", moved(name))),
            (2 * MARGIN + width, new, old, ADDED, "after, as many taken in".to_owned()),
        ];
        let draw = || -> Drawn {
            root.fill(&WHITE)?;
            for (left, mask, other, colour, title) in &panels {
                draw_mask(&root, *left, (rows, columns), [mask, other], *colour)?;
                root.draw(&Text::new(title.as_str(), (*left, MARGIN / 2 - 6), ("sans-serif", 14).into_font()))?;
            }
            root.present()
        };
        draw().expect("drawing to a string does not fail");
    }
    Some(svg)
}

/// One mask as a grid; positions that the other does not keep are coloured.
fn draw_mask<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    left: i32,
    (rows, columns): (usize, usize),
    [mask, other]: [&Mask; 2],
    colour: RGBColor,
) -> Drawn<'a> {
    let corner = (left + CELL * columns as i32, MARGIN + CELL * rows as i32);
    area.draw(&Rectangle::new([(left - 1, MARGIN - 1), corner], KEPT))?;
    for position in mask.positions() {
        let (x, y) = (left + CELL * (position % columns) as i32, MARGIN + CELL * (position / columns) as i32);
        let fill = if other.keeps(position) { KEPT } else { colour };
        area.draw(&Rectangle::new([(x, y), (x + CELL - 1, y + CELL - 1)], fill.filled()))?;
    }
    Ok(())
}

/// A bar for each suspect: how many bits its evidence has, against what the threshold asks for.
pub(crate) fn draw_evidence(suspects: &[(&str, f64, &str)], threshold: f64) -> String {
    const LINE: i32 = 30;
    const NAMES: i32 = 200;
    const LENGTH: i32 = 520;
    let size = ((NAMES + LENGTH + 150) as u32, (LINE * suspects.len() as i32 + 2 * MARGIN) as u32);
    let most = suspects.iter().map(|(_, bits, _)| -bits).fold(-2.0 * threshold, f64::max);
    let at = |bits: f64| NAMES + (-bits / most * f64::from(LENGTH)).round() as i32;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let font = ("sans-serif", 14).into_font().color(&BLACK);
        let right = font.clone().pos(Pos::new(HPos::Right, VPos::Center));
        let left = font.pos(Pos::new(HPos::Left, VPos::Center));
        let draw = || -> Drawn {
            root.fill(&WHITE)?;
            let title =
                format!("evidence in bits (-log2 p, after charges); the line is the threshold, {:.0}", -threshold);
            root.draw(&Text::new(title, (10, MARGIN / 2), left.clone()))?;
            for (&(name, bits, verdict), top) in suspects.iter().zip((MARGIN..).step_by(LINE as usize)) {
                let colour = if bits <= threshold { PASSED } else { KEPT };
                let middle = top + LINE / 2;
                root.draw(&Text::new(name, (NAMES - 8, middle), right.clone()))?;
                root.draw(&Rectangle::new([(NAMES, top + 5), (at(bits), top + LINE - 5)], colour.filled()))?;
                root.draw(&Text::new(format!("{:.0} {verdict}", -bits), (at(bits) + 8, middle), left.clone()))?;
            }
            let (x, end) = (at(threshold), MARGIN + LINE * suspects.len() as i32);
            root.draw(&PathElement::new([(x, MARGIN), (x, end)], DROPPED.stroke_width(2)))?;
            root.present()
        };
        draw().expect("drawing to a string does not fail");
    }
    svg
}

#[cfg(test)]
mod tests {
    use counterfoil_ticket::Array;

    use super::*;

    fn model(shape: [usize; 2], kept: usize) -> Model {
        let size = shape[0] * shape[1];
        let mut model = Model::default();
        model.arrays.insert("w".to_owned(), Array::new(shape.to_vec(), vec![1.0; size]).unwrap());
        model.masks.insert("w".to_owned(), Mask::from_fn(size, |p| p == kept));
        model
    }

    #[test]
    fn only_moves_are_drawn() {
        let svg = draw_moves(&model([2, 3], 1), &model([2, 3], 4)).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("w: before, 1 to be dropped"));
        assert_eq!(draw_moves(&model([2, 3], 1), &model([2, 3], 1)), None, "nothing moved");
        assert_eq!(draw_moves(&model([145, 1], 0), &model([145, 1], 1)), None, "too large");
        assert_eq!(draw_moves(&Model::default(), &Model::default()), None, "no masks");
    }
}
