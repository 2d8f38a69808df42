//! A picture of the tail: how long the slowest of so many requests took, for everybody compared.

use plotters::prelude::*;

use super::summary::Row;

const SIZE: (u32, u32) = (960, 600);

/// Shares of the requests, as far as a picture goes: one of ten thousand is slower.
const NINES_MAX: f64 = 4.0;

const COLORS: [RGBColor; 8] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(255, 127, 14),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(23, 190, 207),
    RGBColor(100, 100, 100),
];

/// The picture as SVG.
///
/// # Errors
/// What kept it from being drawn.
pub fn svg(title: &str, rows: &[Row]) -> Result<String, String> {
    let mut text = String::new();
    draw(&mut text, title, rows).map_err(|error| error.to_string())?;
    Ok(text)
}

fn draw(text: &mut String, title: &str, rows: &[Row]) -> Result<(), Box<dyn std::error::Error>> {
    let lines: Vec<Vec<(f64, f64)>> = rows.iter().map(line_of).collect();
    let heights = lines.iter().flatten().map(|(_, millis)| *millis);
    let top = heights.clone().fold(1e-3, f64::max) * 1.1;
    let bottom = heights.fold(top, f64::min).max(1e-3) * 0.9;
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..NINES_MAX, (bottom..top).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("percent of requests that were faster")
        .y_desc("ms")
        .x_labels(5)
        .x_label_formatter(&|nines| format!("{:.4}", 100.0 - 100.0 * 10_f64.powf(-nines)))
        .y_label_formatter(&|millis| format!("{millis:.1}"))
        .draw()?;
    for (at, (row, line)) in rows.iter().zip(lines).enumerate() {
        let color = COLORS[at % COLORS.len()];
        let series = LineSeries::new(line, color.stroke_width(2));
        chart
            .draw_series(series)?
            .label(&row.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.4))
        .draw()?;
    area.present()?;
    Ok(())
}

/// Means over the seeds, by the number of nines.
fn line_of(row: &Row) -> Vec<(f64, f64)> {
    const STEPS: u32 = 80;
    let point = |step: u32| {
        let nines = NINES_MAX * f64::from(step) / f64::from(STEPS);
        let share = 1.0 - 10_f64.powf(-nines);
        (nines, row.millis(share).mean.max(1e-3))
    };
    (0..=STEPS).map(point).collect()
}
