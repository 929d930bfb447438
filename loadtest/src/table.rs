//! The results as Markdown tables and as JSON.

use crate::measurement::{Measurement, RAW};
use crate::statistics::{Spread, paired_ratios};
use serde::Serialize;
use std::fmt::Write as _;

/// All figures of one contender, one a round.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    /// The contender's name.
    pub name: String,
    /// Figures in the order of the rounds.
    pub figures: Vec<f64>,
    /// The reports that they are from.
    pub reports: Vec<serde_json::Value>,
    /// How many of them had faults.
    pub faulty: usize,
}

/// The subject against one other contender.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// What was measured.
    pub measurement: Measurement,
    /// Its unit.
    pub unit: &'static str,
    /// Whom it is compared with.
    pub reference: String,
    /// Median and extremes of the subject's figures.
    pub subject: Spread,
    /// Median and extremes of the other's.
    pub other: Spread,
    /// Of the ratios of pairs; above 1 the subject is better.
    pub ratio: Spread,
}

/// Compares the first series with each of the others.
pub fn compare(measurement: Measurement, series: &[Series]) -> Vec<Comparison> {
    let Some((subject, references)) = series.split_first() else {
        return Vec::new();
    };
    references
        .iter()
        .filter_map(|reference| {
            let ratios =
                paired_ratios(&subject.figures, &reference.figures, measurement.less_is_better());
            Some(Comparison {
                measurement,
                unit: measurement.unit(),
                reference: reference.name.clone(),
                subject: Spread::of(&subject.figures)?,
                other: Spread::of(&reference.figures)?,
                ratio: Spread::of(&ratios)?,
            })
        })
        .collect()
}

/// A table of comparisons.
pub fn comparisons(subject: &str, rows: &[Comparison]) -> String {
    let mut text = format!(
        "| measured | against | {subject} | the other | median ratio (above 1: {subject} is better) |\n|---|---|---|---|---|\n"
    );
    for row in rows {
        let (title, unit) = (row.measurement.title(), row.unit);
        let (ours, theirs, ratio) = (figures(row.subject), figures(row.other), row.ratio);
        writeln!(
            text,
            "| {title} ({unit}) | {} | {ours} | {theirs} | **{:.2}** ({:.2} .. {:.2}) |",
            row.reference, ratio.median, ratio.min, ratio.max
        )
        .expect("writing to a String cannot fail");
    }
    text
}

/// A table of where the subject stands against its targets.
pub fn targets(subject: &str, rows: &[Comparison]) -> String {
    let mut text = format!("| target | {subject} | reached |\n|---|---|---|\n");
    for row in rows {
        for Target { words, figure, reached } in targets_of(row) {
            let reached = if reached { "yes" } else { "**no**" };
            writeln!(text, "| {}: {words} | {figure} | {reached} |", row.measurement.title())
                .expect("writing to a String cannot fail");
        }
    }
    text
}

struct Target {
    words: String,
    figure: String,
    reached: bool,
}

fn targets_of(row: &Comparison) -> impl Iterator<Item = Target> {
    let (measurement, unit, reference) = (row.measurement, row.unit, &row.reference);
    let ratio = measurement.target_ratio(reference).map(|target| Target {
        words: format!("at least {target:.2} x as good as {reference}"),
        figure: format!("{:.2}", row.ratio.median),
        reached: row.ratio.median >= target,
    });
    let figure = measurement.target_figure().filter(|_| reference == RAW).map(|target| {
        let median = row.subject.median;
        let (words, reached) = if measurement.less_is_better() {
            ("at most", median <= target)
        } else {
            ("at least", median >= target)
        };
        Target {
            words: format!("{words} {} {unit}", number(target)),
            figure: format!("{} {unit}", number(median)),
            reached,
        }
    });
    ratio.into_iter().chain(figure)
}

fn figures(spread: Spread) -> String {
    format!("{} ({} .. {})", number(spread.median), number(spread.min), number(spread.max))
}

/// Three significant digits or so, thousands separated.
fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, figures: &[f64]) -> Series {
        Series { name: name.to_owned(), figures: figures.to_vec(), reports: Vec::new(), faulty: 0 }
    }

    #[test]
    fn compares_the_first_with_each_other_and_judges_against_those_it_has_targets_for() {
        let both =
            [series("us", &[2.0, 2.0]), series("raw", &[1.9, 1.7]), series("them", &[8.0, 6.0])];
        let rows = compare(Measurement::CpuPerDelivery, &both);
        assert_eq!(rows.len(), 2);
        assert!((rows[0].ratio.median - 0.9).abs() < 1e-9);
        let text = comparisons("us", &rows);
        assert!(
            text.contains(
                "| them | 2.00 (2.00 .. 2.00) | 7.00 (6.00 .. 8.00) | **3.50** (3.00 .. 4.00) |"
            ),
            "{text}"
        );
        let text = targets("us", &rows);
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn judges_figures_in_their_direction() {
        let both = [series("us", &[1_600_000.0]), series("raw", &[2_000_000.0])];
        let text = targets("us", &compare(Measurement::SixteenInFlight, &both));
        assert!(text.contains("at least 0.85 x as good as raw | 0.80 | **no** |"), "{text}");
        assert!(
            text.contains("at least 1,500,000 deliveries/s | 1,600,000 deliveries/s | yes |"),
            "{text}"
        );
        let both = [series("us", &[3_500.0]), series("raw", &[900.0])];
        let text = targets("us", &compare(Measurement::IdleMemory, &both));
        assert!(text.contains("at most 3,072 bytes | 3,500 bytes | **no** |"), "{text}");
        let both = [series("us", &[2_000.0]), series("centrifugo", &[30_000.0])];
        let text = targets("us", &compare(Measurement::IdleMemory, &both));
        assert!(text.contains("at least 5.00 x as good as centrifugo | 15.00 | yes |"), "{text}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.123, 99.0, 100.0, 1234.5, -1234.0, 1e6].map(number),
            ["0.12", "99.00", "100", "1,234", "-1,234", "1,000,000"]
        );
    }
}
