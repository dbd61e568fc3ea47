//! Curves: log2 p against accuracy lost and against turnover, beside what random turnover would leave.

use plotters::prelude::*;

use super::{Point, Report, TOLERATED};

const SIZE: (u32, u32) = (560, 340);
const COLOURS: [RGBColor; 8] = [
    RGBColor(46, 110, 158),
    RGBColor(196, 78, 82),
    RGBColor(85, 140, 70),
    RGBColor(214, 134, 30),
    RGBColor(129, 93, 160),
    RGBColor(120, 90, 70),
    RGBColor(60, 160, 160),
    RGBColor(110, 110, 110),
];

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// What a picture's points lie along.
#[derive(Clone, Copy)]
enum Along {
    Points,
    /// `start` is log2 p of the mask before anything was moved, if it was tested.
    Turnover {
        start: Option<f64>,
    },
}

/// Two pictures of a subject, as SVG: against points lost, and against turnover.
pub(super) fn curves(report: &Report, subject: &str) -> [String; 2] {
    let points: Vec<&Point> = report.points.iter().filter(|point| point.subject == subject).collect();
    let start = report.runs.iter().filter(|run| run.subject == subject).filter_map(crate::Line::mask).reduce(f64::min);
    let thresholds = report.runs.iter().filter(|run| run.subject == subject).map(|run| run.threshold);
    let threshold = thresholds.reduce(f64::max).unwrap_or(counterfoil_verify::DEFAULT_THRESHOLD);
    let picture = |x: &dyn Fn(&Point) -> Option<f64>, y: &dyn Fn(&Point) -> Option<f64>, along: Along| {
        let mut svg = String::new();
        draw(&points, x, y, (along, threshold), SVGBackend::with_string(&mut svg, SIZE))
            .expect("drawing to a string does not fail");
        svg
    };
    [
        picture(&|point| point.points, &|point| Some(point.log2_p[0]), Along::Points),
        picture(&|point| point.turnover.map(|share| 100.0 * share), &|point| point.mask, Along::Turnover { start }),
    ]
}

fn draw<'a>(
    points: &[&Point],
    x: &dyn Fn(&Point) -> Option<f64>,
    y: &dyn Fn(&Point) -> Option<f64>,
    (along, threshold): (Along, f64),
    backend: SVGBackend<'a>,
) -> Drawn<'a> {
    let placed: Vec<(&str, f64, f64)> =
        points.iter().filter_map(|point| Some((point.attack.as_str(), x(point)?, y(point)?))).collect();
    let most_x = placed.iter().map(|(_, x, _)| *x).fold(2.0 * TOLERATED, f64::max);
    let least_x = placed.iter().map(|(_, x, _)| *x).fold(0.0, f64::min);
    let least_y = placed.iter().map(|(.., y)| *y).fold(-80.0, f64::min) * 1.05;
    let root = backend.into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(least_x..most_x, least_y..0.0)?;
    let what = match along {
        Along::Turnover { .. } => "turnover, % of the kept positions",
        Along::Points => "points of accuracy lost",
    };
    chart
        .configure_mesh()
        .max_light_lines(0)
        .bold_line_style(RGBColor(228, 232, 236))
        .x_desc(what)
        .y_desc("log2 p")
        .draw()?;
    chart.draw_series(LineSeries::new([(least_x, threshold), (most_x, threshold)], BLACK.mix(0.5)))?;
    if let Along::Turnover { start: Some(start) } = along {
        let curve = (0..=100).map(|share| (f64::from(share), start * (1.0 - f64::from(share) / 100.0).powi(2)));
        let within = curve.filter(|(x, _)| *x <= most_x);
        chart.draw_series(DashedLineSeries::new(within, 4, 4, BLACK.mix(0.6).stroke_width(1)))?;
    } else if matches!(along, Along::Points) {
        chart.draw_series(LineSeries::new([(TOLERATED, least_y), (TOLERATED, 0.0)], BLACK.mix(0.5)))?;
    }
    let mut attacks: Vec<&str> = placed.iter().map(|(attack, ..)| *attack).collect();
    attacks.dedup();
    for (index, attack) in attacks.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let mut curve: Vec<(f64, f64)> =
            placed.iter().filter(|(name, ..)| name == attack).map(|(_, x, y)| (*x, *y)).collect();
        curve.sort_by(|a, b| a.0.total_cmp(&b.0));
        chart.draw_series(LineSeries::new(curve.iter().copied(), colour.stroke_width(1)))?;
        let label = |i: usize, point: (f64, f64)| {
            let dot = EmptyElement::at(point) + Circle::new((0, 0), 3, colour.filled());
            let name = if i == 0 { (*attack).to_owned() } else { String::new() };
            dot + Text::new(name, (5, -6), ("sans-serif", 11).into_font().color(&colour))
        };
        chart.draw_series(curve.iter().enumerate().map(|(i, point)| label(i, *point)))?;
    }
    root.present()
}
