//! When the next publication is due.

use clap::Args;
use std::time::Duration;

/// How publications are paced: a number in flight (closed loop), or a rate (open loop).
#[derive(Args, Debug, Clone, Copy)]
#[group(required = true, multiple = false)]
pub struct Pace {
    /// Closed loop: publish the next when all but this many minus one have reached every subscriber.
    #[arg(long)]
    pub in_flight: Option<u64>,
    /// Open loop: publications a second, whatever the server does.
    #[arg(long)]
    pub rate: Option<f64>,
}

impl Pace {
    /// A closed loop.
    pub fn in_flight(count: u64) -> Self {
        Self { in_flight: Some(count), rate: None }
    }

    /// An open loop.
    pub fn rate(per_second: f64) -> Self {
        Self { in_flight: None, rate: Some(per_second) }
    }

    /// The intended time of publication `number`, if it is due at `now_ns` with `completed` received by all. A closed
    /// loop intends what is allowed now; an open one keeps to its schedule even when it is late.
    #[inline]
    pub fn due(&self, number: u64, completed: u64, now_ns: u64) -> Option<u64> {
        match self.rate {
            Some(rate) => {
                let intended = intended_ns(number, rate);
                (intended <= now_ns).then_some(intended)
            }
            None => (number < completed + self.in_flight.unwrap_or(1)).then_some(now_ns),
        }
    }

    /// How long it is until publication `number` is due, which only an open loop knows.
    pub fn left(&self, number: u64, now_ns: u64) -> Option<Duration> {
        let intended_ns = intended_ns(number, self.rate?);
        Some(Duration::from_nanos(intended_ns.saturating_sub(now_ns)))
    }
}

fn intended_ns(number: u64, rate: f64) -> u64 {
    (number as f64 * 1e9 / rate) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_loop_waits_for_completion() {
        let pace = Pace::in_flight(2);
        assert_eq!(pace.due(0, 0, 5), Some(5));
        assert_eq!(pace.due(1, 0, 5), Some(5));
        assert_eq!(pace.due(2, 0, 5), None);
        assert_eq!(pace.due(2, 1, 9), Some(9));
    }

    #[test]
    fn an_open_loop_keeps_its_schedule() {
        let pace = Pace::rate(100.0);
        assert_eq!(pace.due(0, 0, 0), Some(0));
        assert_eq!(pace.due(1, 0, 9_999_999), None);
        assert_eq!(pace.due(1, 0, 35_000_000), Some(10_000_000));
        assert_eq!(pace.left(1, 500_000), Some(Duration::from_micros(9_500)));
        assert_eq!(pace.left(1, 20_000_000), Some(Duration::ZERO));
        assert_eq!(Pace::in_flight(2).left(1, 0), None);
    }
}
