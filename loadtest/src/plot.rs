//! Plots as SVG: lines over two axes, on a white ground with dark text, so that they can be read on any page.

mod axis;

use axis::Axis;
use hdrhistogram::Histogram;
use std::fmt::Write as _;

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 460.0;
/// Where the axes are, in the units of the picture.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 624.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 396.0;
/// Where names of series stand.
const LEGEND: f64 = 648.0;
const LEGEND_LINE: f64 = 22.0;

/// A palette that people with any colour vision can tell apart (Okabe and Ito, "Color Universal Design", 2008), without
/// its yellow, which is too pale on white.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
/// Series with more points than this show the line alone.
const MOST_MARKERS: usize = 40;

/// Points of a percentile plot for each ninefold step to the right, such as from 90 % to 99 %.
const POINTS_A_NINE: f64 = 50.0;
/// No percentile beyond 99.999 is drawn.
const MOST_NINES: f64 = 5.0;
const PERCENTILES: [(f64, &str); 7] = [
    (0.0, "0"),
    (0.5, "50"),
    (0.9, "90"),
    (0.99, "99"),
    (0.999, "99.9"),
    (0.9999, "99.99"),
    (0.999_99, "99.999"),
];

/// A named line.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

/// A picture.
pub struct Plot {
    title: String,
    x: Axis,
    y: Axis,
    series: Vec<Series>,
}

/// Latency by percentile, as HdrHistogram draws it: to the right the percentiles come closer to all on a logarithmic scale.
/// Histograms are in microseconds; one without values has a name and no line.
pub fn latency_by_percentile(title: &str, histograms: &[(&str, &Histogram<u64>)]) -> Plot {
    let series: Vec<Series> = histograms
        .iter()
        .map(|(name, histogram)| Series {
            name: (*name).to_owned(),
            points: percentile_points(histogram),
        })
        .collect();
    let points = || series.iter().flat_map(|series| &series.points);
    let most_nines = points().map(|point| point.0).fold(2.0, f64::max);
    let most_ms = points().map(|point| point.1).fold(0.0, f64::max);
    let ticks = PERCENTILES.iter().map(|(part, label)| (nines(*part), (*label).to_owned()));
    let ticks = ticks.filter(|(at, _)| *at <= most_nines + 0.01).collect();
    Plot {
        title: title.to_owned(),
        x: Axis::with_ticks("percentile of deliveries or replies", most_nines, ticks),
        y: Axis::linear("latency (ms)", most_ms),
        series,
    }
}

/// What grows with the rate: rates (a second) against 99th percentiles (milliseconds), both on logarithmic scales.
pub fn p99_by_rate(title: &str, series: Vec<(String, Vec<(f64, f64)>)>) -> Plot {
    let points = || series.iter().flat_map(|(_, points)| points);
    let x = Axis::logarithmic("publications a second", points().map(|point| point.0));
    let y = Axis::logarithmic("p99 latency (ms)", points().map(|point| point.1));
    let series = series.into_iter().map(|(name, points)| Series { name, points }).collect();
    Plot { title: title.to_owned(), x, y, series }
}

/// Where a part of all, from 0 up to but not 1, stands on the axis of percentiles.
fn nines(part: f64) -> f64 {
    -(1.0 - part).log10()
}

fn percentile_points(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    // Of so many values, none stands for a higher percentile than this.
    let last = (histogram.len() as f64).log10().min(MOST_NINES);
    let steps = (last * POINTS_A_NINE) as usize;
    let places = (0..=steps).map(|step| step as f64 / POINTS_A_NINE);
    let ms = |at: f64| histogram.value_at_quantile(1.0 - 10_f64.powf(-at)) as f64 / 1e3;
    places.chain([last]).map(|at| (at, ms(at))).collect()
}

impl Plot {
    /// The picture as an SVG document.
    pub fn svg(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).expect("writing to a String cannot fail");
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let title = escaped(&self.title);
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222222\">"
        )?;
        writeln!(out, "<title>{title}</title>")?;
        writeln!(out, "<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>")?;
        writeln!(out, "<text x=\"{LEFT}\" y=\"32\" font-size=\"17\">{title}</text>")?;
        self.write_axes(out)?;
        for (index, series) in self.series.iter().enumerate() {
            self.write_series(out, index, series)?;
        }
        writeln!(out, "</svg>")
    }

    fn write_axes(&self, out: &mut String) -> std::fmt::Result {
        let grid = "stroke=\"#dddddd\"";
        for (value, label) in self.x.ticks() {
            let x = self.place_x(*value);
            writeln!(out, "<path d=\"M{x:.1} {TOP}V{BOTTOM}\" {grid}/>")?;
            let y = BOTTOM + 20.0;
            writeln!(out, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{label}</text>")?;
        }
        for (value, label) in self.y.ticks() {
            let y = self.place_y(*value);
            writeln!(out, "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" {grid}/>")?;
            let (x, y) = (LEFT - 8.0, y + 4.5);
            writeln!(out, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{label}</text>")?;
        }
        writeln!(
            out,
            "<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#222222\"/>"
        )?;
        let (middle, below) = ((LEFT + RIGHT) / 2.0, BOTTOM + 46.0);
        let label = escaped(self.x.label());
        writeln!(out, "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>")?;
        let (middle, label) = ((TOP + BOTTOM) / 2.0, escaped(self.y.label()));
        writeln!(
            out,
            "<text transform=\"translate(20 {middle}) rotate(-90)\" text-anchor=\"middle\">{label}</text>"
        )
    }

    fn write_series(&self, out: &mut String, index: usize, series: &Series) -> std::fmt::Result {
        let colour = COLOURS[index % COLOURS.len()];
        // After the last colour, lines are dashed.
        let dashes = if index < COLOURS.len() { "" } else { " stroke-dasharray=\"6 4\"" };
        let stroke = format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}");
        let places: Vec<(f64, f64)> =
            series.points.iter().map(|(x, y)| (self.place_x(*x), self.place_y(*y))).collect();
        if !places.is_empty() {
            let points: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            writeln!(out, "<polyline points=\"{}\" {stroke}/>", points.join(" "))?;
        }
        if places.len() <= MOST_MARKERS {
            for (x, y) in places {
                writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>")?;
            }
        }
        let y = TOP + 12.0 + LEGEND_LINE * index as f64;
        writeln!(out, "<path d=\"M{LEGEND} {:.1}h24\" {stroke}/>", y - 4.5)?;
        let (x, name) = (LEGEND + 32.0, escaped(&series.name));
        writeln!(out, "<text x=\"{x}\" y=\"{y:.1}\">{name}</text>")
    }

    fn place_x(&self, value: f64) -> f64 {
        LEFT + self.x.part(value) * (RIGHT - LEFT)
    }

    fn place_y(&self, value: f64) -> f64 {
        BOTTOM - self.y.part(value) * (BOTTOM - TOP)
    }
}

/// A text as XML has it between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
