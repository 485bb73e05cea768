//! Heap and threads over time, as an SVG: a row a mode.

use std::error::Error;
use std::fs;
use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

use crate::run::{Outcome, Sample};

const WIDTH: u32 = 1080;
const ROW: u32 = 220;
const HEAP: RGBColor = RGBColor(22, 128, 60);
const THREADS: RGBColor = RGBColor(201, 60, 32);

/// What a line shows of a sample.
type Value = fn(&Sample) -> f64;

pub fn write(path: &Path, outcomes: &[Outcome]) -> Result<(), Box<dyn Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, ROW * outcomes.len() as u32)).into_drawing_area();
        root.fill(&WHITE)?;
        let panels = root.split_evenly((outcomes.len(), 2));
        for (outcome, panels) in outcomes.iter().zip(panels.chunks(2)) {
            let kib: Value = |sample| sample.heap as f64 / 1024.0;
            let threads: Value = |sample| sample.threads.unwrap_or(0) as f64;
            draw(&panels[0], &format!("{}: heap, KiB", outcome.mode), outcome, HEAP, kib)?;
            draw(&panels[1], &format!("{}: threads", outcome.mode), outcome, THREADS, threads)?;
        }
        root.present()?;
    }
    fs::write(path, svg).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn draw<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    title: &str,
    outcome: &Outcome,
    color: RGBColor,
    value: Value,
) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    let samples = &outcome.samples;
    let seconds = samples.last().map_or(0.0, |sample| sample.seconds);
    let most = samples.iter().map(value).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(10)
        .x_label_area_size(32)
        .y_label_area_size(64)
        .build_cartesian_2d(up_to(seconds), up_to(1.2 * most))?;
    chart
        .configure_mesh()
        .x_desc("seconds")
        .x_labels(6)
        .y_labels(5)
        .label_style(("sans-serif", 12))
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .draw()?;
    let points = samples.iter().map(|sample| (sample.seconds, value(sample)));
    chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
    Ok(())
}

/// A range from zero that is never empty.
fn up_to(end: f64) -> Range<f64> {
    0.0..if end > 0.0 { end } else { 1.0 }
}
