//! An axis: which values it spans, where they stand, and which are named.

/// How many named values a linear axis has at the most.
const MOST_STEPS: f64 = 8.0;

/// One axis of a plot.
pub struct Axis {
    label: String,
    from: f64,
    to: f64,
    logarithmic: bool,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0, with these values named.
    pub fn with_ticks(label: &str, to: f64, ticks: Vec<(f64, String)>) -> Self {
        Self { label: label.to_owned(), from: 0.0, to, logarithmic: false, ticks }
    }

    /// From 0 to a round value that is at least `most`.
    pub fn linear(label: &str, most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let step = round_up(most / MOST_STEPS);
        let steps = (most / step).ceil();
        let ticks = (0..=steps as u32).map(|at| f64::from(at) * step);
        let ticks = ticks.map(|value| (value, number(value, digits(step)))).collect();
        Self::with_ticks(label, step * steps, ticks)
    }

    /// Over these values, which must be above 0 to be there, between round ones.
    pub fn logarithmic(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let positive = values.filter(|value| *value > 0.0 && value.is_finite());
        let (least, most) = positive
            .fold((f64::INFINITY, 0.0), |(least, most), it| (it.min(least), f64::max(it, most)));
        let (least, most) = if least <= most { (least, most) } else { (1.0, 10.0) };
        let from = round_down(least);
        let to = round_up(most).max(round_up(from * 2.0));
        let mut ticks = vec![from];
        while let Some(last) = ticks.last().copied().filter(|last| *last < to * 0.999) {
            ticks.push(round_up(last * 1.001));
        }
        if ticks.len() > MOST_STEPS as usize {
            // Over many decades only they themselves are named.
            ticks.retain(|value| (value.log10() - value.log10().round()).abs() < 1e-6);
        }
        let ticks = ticks.into_iter().map(|value| (value, number(value, digits(value)))).collect();
        Self { label: label.to_owned(), from, to, logarithmic: true, ticks }
    }

    /// What is measured along it, and in which unit.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Named values.
    pub fn ticks(&self) -> &[(f64, String)] {
        &self.ticks
    }

    /// Where a value stands, from 0 at the beginning to 1 at the end. What is beyond stands at the nearer end.
    pub fn part(&self, value: f64) -> f64 {
        let part = if self.logarithmic {
            (value / self.from).log10() / (self.to / self.from).log10()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        part.clamp(0.0, 1.0)
    }
}

/// The least of 1, 2, 5, 10, 20, … (and 0.5, 0.2, …) that is not below a positive value.
fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf((value * (1.0 - 1e-9)).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let step = steps.into_iter().find(|step| step * decade >= value * (1.0 - 1e-9));
    step.unwrap_or(10.0) * decade
}

/// The greatest of them that is not above it.
fn round_down(value: f64) -> f64 {
    1.0 / round_up(1.0 / value)
}

/// How many digits a round number needs after the point.
fn digits(value: f64) -> usize {
    // A hair more than a power of ten may be kept as a hair less.
    (-(value * (1.0 + 1e-9)).log10().floor()).clamp(0.0, 9.0) as usize
}

fn number(value: f64, digits: usize) -> String {
    if value == 0.0 { "0".to_owned() } else { format!("{value:.digits$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axis: &Axis) -> Vec<&str> {
        axis.ticks().iter().map(|(_, name)| name.as_str()).collect()
    }

    #[test]
    fn round_values_enclose_a_value() {
        for (value, down, up) in
            [(1.0, 1.0, 1.0), (3.0, 2.0, 5.0), (0.07, 0.05, 0.1), (999.0, 500.0, 1_000.0)]
        {
            assert!(
                (round_down(value) / down - 1.0).abs() < 1e-6,
                "{value}: {}",
                round_down(value)
            );
            assert!((round_up(value) / up - 1.0).abs() < 1e-6, "{value}: {}", round_up(value));
        }
    }

    #[test]
    fn a_linear_axis_begins_at_nothing_and_holds_the_most() {
        let axis = Axis::linear("ms", 7.3);
        assert_eq!(names(&axis), ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
        assert_eq!([0.0, 4.0, 8.0, 9.0].map(|value| axis.part(value)), [0.0, 0.5, 1.0, 1.0]);
        assert_eq!(
            names(&Axis::linear("ms", 0.3)),
            ["0", "0.05", "0.10", "0.15", "0.20", "0.25", "0.30"]
        );
        assert_eq!(names(&Axis::linear("ms", 0.0)).last(), Some(&"1.0"));
    }

    #[test]
    fn a_logarithmic_axis_names_few_values() {
        let axis = Axis::logarithmic("rate", [30.0, 400.0].into_iter());
        assert_eq!(names(&axis), ["20", "50", "100", "200", "500"]);
        assert!((axis.part(100.0) - 0.5).abs() < 1e-9);
        let axis = Axis::logarithmic("rate", [1.0, 100_000.0].into_iter());
        assert_eq!(names(&axis), ["1", "10", "100", "1000", "10000", "100000"]);
        let one = Axis::logarithmic("rate", [10.0].into_iter());
        assert_eq!(names(&one), ["10", "20"]);
        assert_eq!(names(&Axis::logarithmic("rate", [].into_iter())), ["1", "2", "5", "10"]);
    }
}
