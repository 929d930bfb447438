//! What inspections of servers have in common: how long a few round trips take, how far the server's clock is
//! off, and which versions the tests run with.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;

/// How many round trips an inspection makes.
pub(super) const ROUND_TRIPS: usize = 5;

/// Round trips to one server.
pub(super) struct Soundings {
    clock: Arc<dyn Clock>,
    trips: Vec<Duration>,
    /// The shortest trip that brought the server's time, and by how many milliseconds that was ahead halfway.
    nearest: Option<(Duration, i64)>,
}

/// A round trip that is under way.
pub(super) struct Trip {
    began: Instant,
    began_at: Timestamp,
}

impl Soundings {
    /// None yet; `clock` is that of this machine.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, trips: Vec::new(), nearest: None }
    }

    /// Begins a round trip.
    pub(super) fn begin(&self) -> Trip {
        Trip { began: Instant::now(), began_at: self.clock.now() }
    }

    /// Ends a round trip; `server` is the time that it brought, if it did.
    pub(super) fn end(&mut self, trip: &Trip, server: Option<Timestamp>) {
        let took = trip.began.elapsed();
        self.trips.push(took);
        let Some(server) = server else { return };
        let halfway = trip.began_at.plus(took / 2);
        let ahead = server.as_millis().saturating_sub(halfway.as_millis());
        if self.nearest.is_none_or(|(shortest, _)| took < shortest) {
            self.nearest = Some((took, ahead));
        }
    }

    /// The median.
    pub(super) fn latency(&self) -> Duration {
        let mut trips = self.trips.clone();
        trips.sort_unstable();
        trips.get(trips.len() / 2).copied().unwrap_or_default()
    }

    /// By how many milliseconds the server's clock is ahead of this machine's, within half a round trip.
    pub(super) fn clock_ahead_ms(&self) -> Option<i64> {
        self.nearest.map(|(_, ahead)| ahead)
    }
}

/// The leading numbers of a version, such as 10 and 11 of `10.11.6-MariaDB`.
pub(super) fn numbers(version: &str) -> (u32, u32) {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The time that is `ms` milliseconds after the epoch, if that was said.
pub(super) fn time(ms: impl TryInto<i64>) -> Option<Timestamp> {
    ms.try_into().ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::memory::manual_clock::ManualClock;

    #[tokio::test(start_paused = true)]
    async fn the_clock_is_that_of_the_shortest_trip_and_the_latency_the_median() {
        let here = Timestamp::from_millis(1_000_000);
        let mut soundings = Soundings::new(Arc::new(ManualClock::at(here)));
        assert_eq!((soundings.latency(), soundings.clock_ahead_ms()), (Duration::ZERO, None));
        for (millis, ahead) in [(40, 9_000), (10, -2_000), (900, 700)] {
            let trip = soundings.begin();
            tokio::time::advance(Duration::from_millis(millis)).await;
            let halfway = here.plus(Duration::from_millis(millis / 2));
            soundings.end(&trip, time(halfway.as_millis() + ahead));
        }
        assert_eq!(soundings.latency(), Duration::from_millis(40));
        assert_eq!(soundings.clock_ahead_ms(), Some(-2_000));
    }

    #[test]
    fn versions_begin_with_numbers() {
        for (text, found) in [
            ("10.11.6-MariaDB-0+deb12u1", (10, 11)),
            ("8.0.36", (8, 0)),
            ("15", (15, 0)),
            ("", (0, 0)),
            ("7.0.15 (Debian)", (7, 0)),
        ] {
            assert_eq!(numbers(text), found, "{text}");
        }
    }
}
