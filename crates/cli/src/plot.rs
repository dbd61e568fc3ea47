//! Pictures of a model, as SVG: what each layer keeps, and how many kernels its channels have.
//!
//! Text stays text, in whatever sans-serif font the viewer has: no system font is read, and the same model gives the
//! same bytes.

use std::collections::BTreeMap;

use counterfoil_graph::{CarrierStatistics, DegreeDistribution};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::inspection::Inspection;

/// Width of the picture, pixels.
const WIDTH: u32 = 900;
/// Height of one layer's line, pixels.
const LINE: u32 = 18;
/// Room for the layers' names, pixels.
const NAMES: i32 = 230;
/// Room for the figures behind the bars, pixels.
const FIGURES: i32 = 150;
/// Height of a title, pixels.
const TITLE: i32 = 40;
/// Height of the histograms, pixels.
const HISTOGRAM: u32 = 260;
/// Most bars of a histogram.
const BARS: u32 = 40;
/// Most characters of a name.
const NAME_LENGTH: usize = 32;

const KEPT: RGBColor = RGBColor(46, 110, 158);
const ROOM: RGBColor = RGBColor(226, 231, 236);

/// Draws a model as SVG.
pub(crate) fn plot(model: &Inspection) -> String {
    let mut svg = String::new();
    let bars = TITLE as u32 + LINE * model.layers.len() as u32;
    draw(model, SVGBackend::with_string(&mut svg, (WIDTH, bars + HISTOGRAM)), bars)
        .expect("drawing to a string does not fail");
    svg
}

/// What the SVG backend fails with; in memory it does not.
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw<'a>(model: &Inspection, backend: SVGBackend<'a>, bars: u32) -> Drawn<'a> {
    let root = backend.into_drawing_area();
    root.fill(&WHITE)?;
    let (above, below) = root.split_vertically(bars);
    draw_layers(model, &above)?;
    let (left, right) = below.split_horizontally(WIDTH / 2);
    let statistics = || model.layers.iter().map(|layer| &layer.statistics);
    draw_degrees(&left, "kernels into a channel", statistics().map(|s: &CarrierStatistics| &s.in_degrees))?;
    draw_degrees(&right, "kernels out of a channel", statistics().map(|s: &CarrierStatistics| &s.out_degrees))?;
    root.present()
}

/// A bar for each layer: the share of its positions that is kept.
fn draw_layers<'a>(model: &Inspection, area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>) -> Drawn<'a> {
    let style = ("sans-serif", 15).into_font().color(&BLACK);
    let right = style.clone().pos(Pos::new(HPos::Right, VPos::Center));
    let left = style.pos(Pos::new(HPos::Left, VPos::Center));
    let title = ("sans-serif", 18).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new("kept share of each layer", (NAMES, TITLE / 2), title))?;
    let length = WIDTH as i32 - NAMES - FIGURES;
    for (layer, top) in model.layers.iter().zip((TITLE..).step_by(LINE as usize)) {
        let middle = top + LINE as i32 / 2;
        let bar = |end: i32| [(NAMES, top + 3), (NAMES + end, top + LINE as i32 - 3)];
        let kept = (layer.density() * f64::from(length)).round() as i32;
        area.draw(&Text::new(short_name(&layer.statistics.name), (NAMES - 8, middle), right.clone()))?;
        area.draw(&Rectangle::new(bar(length), ROOM.filled()))?;
        area.draw(&Rectangle::new(bar(kept), KEPT.filled()))?;
        let figures = format!("{:.1} % of {}", layer.density() * 100.0, layer.positions);
        area.draw(&Text::new(figures, (NAMES + length + 8, middle), left.clone()))?;
    }
    Ok(())
}

/// A histogram over the channels of all layers.
fn draw_degrees<'a, 'd>(
    area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    title: &str,
    layers: impl Iterator<Item = &'d DegreeDistribution>,
) -> Drawn<'a> {
    let mut channels: BTreeMap<u32, u64> = BTreeMap::new();
    for (&degree, &n) in layers.flat_map(DegreeDistribution::channels) {
        *channels.entry(degree).or_insert(0) += u64::from(n);
    }
    let largest = channels.keys().next_back().copied().unwrap_or(0);
    let width = largest / BARS + 1;
    let mut bins: BTreeMap<u32, u64> = BTreeMap::new();
    for (degree, n) in channels {
        *bins.entry(degree / width).or_insert(0) += n;
    }
    let most = bins.values().copied().max().unwrap_or(1);
    let end = (largest / width + 1) * width;
    let mut chart = ChartBuilder::on(area)
        .margin(14)
        .caption(title, ("sans-serif", 18))
        .x_label_area_size(32)
        .y_label_area_size(52)
        .build_cartesian_2d(0..end, 0..most + most / 20 + 1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(9)
        .y_labels(6)
        .y_desc("channels")
        .label_style(("sans-serif", 14))
        .draw()?;
    let bar = |(bin, n): (u32, u64)| Rectangle::new([(bin * width, 0), ((bin + 1) * width, n)], KEPT.filled());
    chart.draw_series(bins.into_iter().map(bar))?;
    Ok(())
}

/// A name that fits; the end tells more than the beginning.
fn short_name(name: &str) -> String {
    let length = name.chars().count();
    if length <= NAME_LENGTH {
        return name.to_owned();
    }
    format!("…{}", name.chars().skip(length + 1 - NAME_LENGTH).collect::<String>())
}
