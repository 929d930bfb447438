//! Medians and ratios of pairs.

use serde::Serialize;

/// The median and the extremes of some values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle value, or the mean of the two middle ones.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of at least one value; `None` of none, or when one is no number.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.iter().any(|value| value.is_nan()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        Some(Self { median, min, max })
    }
}

/// How good `subject` is against `reference`, sample by sample of the same round, as a ratio that is above 1 where the
/// subject is better. The median of the paired ratios is what is reported: what slows a whole round cancels out.
pub fn paired_ratios(subject: &[f64], reference: &[f64], less_is_better: bool) -> Vec<f64> {
    subject
        .iter()
        .zip(reference)
        .map(
            |(subject, reference)| {
                if less_is_better { reference / subject } else { subject / reference }
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        let odd = Spread::of(&[3.0, 1.0, 9.0]).unwrap();
        assert_eq!((odd.median, odd.min, odd.max), (3.0, 1.0, 9.0));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 8.0]).unwrap().median, 3.0);
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn ratios_are_above_one_where_the_subject_is_better() {
        assert_eq!(paired_ratios(&[2.0, 4.0], &[1.0, 8.0], true), [0.5, 2.0]);
        assert_eq!(paired_ratios(&[2.0, 4.0], &[1.0, 8.0], false), [2.0, 0.5]);
    }

    #[test]
    fn the_median_of_pairs_is_not_the_ratio_of_medians() {
        // A disturbance that slows both sides of one round leaves every pair as it was.
        let subject = [10.0, 11.0, 100.0];
        let reference = [5.0, 5.5, 50.0];
        let ratios = paired_ratios(&subject, &reference, true);
        let spread = Spread::of(&ratios).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (0.5, 0.5, 0.5));
    }
}
