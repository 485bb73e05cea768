//! Live, stored and lapsed entries over time, as an SVG.

use std::fs;
use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

use crate::failure::Failure;
use crate::play::Sample;

const SIZE: (u32, u32) = (960, 540);
const STORED: RGBColor = RGBColor(148, 163, 184);
const LIVE: RGBColor = RGBColor(22, 128, 60);
const LAPSED: RGBColor = RGBColor(201, 60, 32);

/// What a line shows of a sample.
type Count = fn(&Sample) -> usize;

/// Draws the samples to a file.
pub fn write(path: &Path, title: &str, samples: &[Sample]) -> Result<(), Failure> {
    let svg = draw(title, samples).map_err(|error| Failure::in_file(path.display(), error))?;
    fs::write(path, svg).map_err(|error| Failure::in_file(path.display(), error))
}

fn draw(title: &str, samples: &[Sample]) -> Result<String, Box<dyn std::error::Error>> {
    let span = samples.last().map_or(0, |last| last.time);
    let (unit, seconds) = unit(span);
    let time = |sample: &Sample| sample.time as f64 / seconds;
    let most = samples.iter().map(|sample| sample.stored).max().unwrap_or(0);

    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 18))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(88)
            .build_cartesian_2d(up_to(span as f64 / seconds), up_to(1.05 * most as f64))?;
        chart
            .configure_mesh()
            .x_desc(format!("time in the trace, {unit}"))
            .y_desc("entries")
            .label_style(("sans-serif", 14))
            .axis_desc_style(("sans-serif", 15))
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .x_label_formatter(&|x| grouped(*x))
            .y_label_formatter(&|y| grouped(*y))
            .draw()?;
        // Stored first and wide: where nothing lapsed, the live line lies on it.
        let series: [(&str, RGBColor, u32, Count); 3] = [
            ("stored", STORED, 5, |sample| sample.stored),
            ("live", LIVE, 2, |sample| sample.live),
            ("lapsed, still stored", LAPSED, 2, |sample| sample.stored.saturating_sub(sample.live)),
        ];
        for (name, color, width, count) in series {
            let style = color.stroke_width(width);
            let points = samples.iter().map(|sample| (time(sample), count(sample) as f64));
            chart
                .draw_series(LineSeries::new(points, style))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .legend_area_size(30)
            .label_font(("sans-serif", 14))
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        root.present()?;
    }
    Ok(svg)
}

/// A range from zero that is never empty.
fn up_to(end: f64) -> Range<f64> {
    0.0..if end > 0.0 { end } else { 1.0 }
}

/// The unit that suits a span of seconds, and its length in seconds.
fn unit(span: u64) -> (&'static str, f64) {
    match span {
        0..=900 => ("seconds", 1.0),
        901..=14_400 => ("minutes", 60.0),
        14_401..=259_200 => ("hours", 3600.0),
        _ => ("days", 86_400.0),
    }
}

/// A number with its thousands set apart, and decimals only where it has them.
fn grouped(number: f64) -> String {
    let text = format!("{number:.1}");
    let (whole, decimal) = text.split_once('.').unwrap_or((&text, "0"));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if decimal != "0" {
        grouped.push('.');
        grouped.push_str(decimal);
    }
    grouped
}
