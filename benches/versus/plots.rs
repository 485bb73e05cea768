//! Three plots: throughput by threads, latencies while the table grows, bytes through a mass expiry.

use std::fs;
use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::Result;
use crate::common::{Data, Words, peers};
use crate::play::Measurement;
use crate::timeline::Line;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 1000;
const HEIGHT: u32 = 420;

/// A color a peer, in the order of the list.
const COLORS: [RGBColor; 10] = [
    RGBColor(201, 60, 32),
    RGBColor(31, 100, 180),
    RGBColor(120, 170, 220),
    RGBColor(30, 130, 70),
    RGBColor(130, 190, 120),
    RGBColor(140, 90, 180),
    RGBColor(120, 120, 120),
    RGBColor(220, 150, 20),
    RGBColor(180, 120, 80),
    RGBColor(60, 170, 180),
];

fn color(peer: &str) -> RGBColor {
    let place = peers::all::<Words>().iter().position(|entry| entry.name == peer);
    COLORS[place.unwrap_or(0) % COLORS.len()]
}

/// Draws what was measured: a plot without data is left as it is.
pub fn draw(folder: &Path, measurements: &[Measurement], timeline: &[Line]) -> Result {
    // A call each, or there would be too many lines.
    let words = measurements.iter().filter(|row| row.set == Words::NAME && !row.peer.contains("pin"));
    let words: Vec<_> = words.collect();
    let reads: Vec<_> = words.iter().filter(|row| row.workload == "get hit, zipf" && row.entries == 10_000).collect();
    let writes: Vec<_> = words.iter().filter(|row| row.workload == "overwrite" && row.entries == 10_000).collect();
    if !reads.is_empty() && !writes.is_empty() {
        save(&folder.join("throughput.svg"), |panels| {
            let title = "gets, 10 k entries, zipf: millions a second by threads";
            throughput(&panels[0], title, reads.iter().copied().copied())?;
            let title = "overwrites, 10 k entries: millions a second by threads";
            throughput(&panels[1], title, writes.iter().copied().copied())
        })?;
    }
    if words.iter().any(|row| row.workload.starts_with(TAILS)) {
        save(&folder.join("tails.svg"), |panels| {
            tails(&panels[0], "a get while the table grows, ns", "get", &words)?;
            tails(&panels[1], "an insert while the table grows, ns", "insert", &words)
        })?;
    }
    save(&folder.join("expiry.svg"), |panels| {
        expiry(&panels[0], "heap, MiB, by seconds: 50,000 writes a second", "writes/s", timeline)?;
        expiry(&panels[1], "the same: left alone", "left", timeline)
    })
}

fn save(path: &Path, draw: impl FnOnce(&[Area]) -> Result) -> Result {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        root.fill(&WHITE)?;
        draw(&root.split_evenly((1, 2)))?;
        root.present()?;
    }
    fs::write(path, svg).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Named lines of points, in a color each.
struct Curve<'a> {
    name: &'a str,
    color: RGBColor,
    points: Vec<(f64, f64)>,
    /// Radius of the points' marks.
    mark: u32,
}

fn throughput<'m>(area: &Area, title: &str, rows: impl Iterator<Item = &'m Measurement>) -> Result {
    let mut curves: Vec<Curve> = Vec::new();
    for row in rows.filter(|row| row.ns.is_some()) {
        let point = (row.threads as f64, 1e3 * row.threads as f64 / row.ns.unwrap_or(f64::NAN));
        match curves.iter_mut().find(|curve| curve.name == row.peer) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { name: &row.peer, color: color(&row.peer), points: vec![point], mark: 3 }),
        }
    }
    let most = most(&curves);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..4.0, 0.0..1.05 * most)?;
    chart
        .configure_mesh()
        .x_labels(5)
        .x_label_formatter(&|x| if (0.5..2.5).contains(x) { format!("{x:.0}") } else { String::new() })
        .light_line_style(TRANSPARENT)
        .draw()?;
    draw_lines(&mut chart, &curves, SeriesLabelPosition::UpperRight, 10)
}

const TAILS: &str = "while the table grows: ";
const QUANTILES: [&str; 5] = ["p50", "p99", "p99.9", "p99.99", "max"];

fn tails(area: &Area, title: &str, of: &str, rows: &[&Measurement]) -> Result {
    let mut curves: Vec<Curve> = Vec::new();
    for row in rows {
        let figure = row.workload.strip_prefix(TAILS).and_then(|figure| figure.strip_prefix(of)).map(str::trim);
        let Some(x) = figure.and_then(|figure| QUANTILES.iter().position(|&name| name == figure)) else { continue };
        let point = (x as f64, row.ns.unwrap_or(f64::NAN));
        match curves.iter_mut().find(|curve| curve.name == row.peer) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { name: &row.peer, color: color(&row.peer), points: vec![point], mark: 3 }),
        }
    }
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(64)
        .build_cartesian_2d(-0.2..4.2, (10.0..10.0 * most(&curves)).log_scale())?;
    chart
        .configure_mesh()
        .x_labels(5)
        .x_label_formatter(&|x: &f64| QUANTILES.get(x.round() as usize).copied().unwrap_or_default().to_owned())
        .y_label_formatter(&|y| format!("{y:.0}"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    draw_lines(&mut chart, &curves, SeriesLabelPosition::UpperLeft, 9)
}

fn expiry(area: &Area, title: &str, part: &str, lines: &[Line]) -> Result {
    let mib = |&(second, bytes): &(f64, f64)| (second, bytes / f64::from(1 << 20));
    let lines = lines.iter().filter(|line| line.name.contains(part));
    let curves = lines.enumerate().map(|(i, line)| Curve {
        name: &line.name,
        // Ours, moka's, ours with a reaper.
        color: [COLORS[0], COLORS[1], COLORS[3]][i % 3],
        points: line.points.iter().map(mib).collect(),
        mark: 0,
    });
    let curves: Vec<_> = curves.collect();
    let seconds = curves.iter().flat_map(|curve| &curve.points).map(|point| point.0).fold(0.0, f64::max);
    let (across, up): (Range<f64>, Range<f64>) = (0.0..seconds.max(0.001), 0.0..1.3 * most(&curves));
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(48)
        .build_cartesian_2d(across, up)?;
    chart.configure_mesh().light_line_style(TRANSPARENT).draw()?;
    draw_lines(&mut chart, &curves, SeriesLabelPosition::UpperRight, 11)
}

fn draw_lines<'a, Y: Ranged<ValueType = f64>>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, Y>>,
    curves: &[Curve],
    position: SeriesLabelPosition,
    font: u32,
) -> Result {
    for curve in curves {
        let style = curve.color.stroke_width(2);
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), style).point_size(curve.mark))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
    }
    chart.configure_series_labels().position(position).label_font(("sans-serif", font)).draw()?;
    Ok(())
}

fn most(curves: &[Curve]) -> f64 {
    let values = curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
    values.filter(|value| value.is_finite()).fold(1.0, f64::max)
}
