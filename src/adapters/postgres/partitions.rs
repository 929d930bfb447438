//! The partitions of `interactions`, one a month of UTC.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use sqlx::postgres::PgConnection;
use sqlx::types::time::Date;
use sqlx::{Connection, Error};

use crate::domain::event::LoggedEvent;
use crate::domain::time::Timestamp;

use super::stored::datetime;

/// For how many months after the present one there are partitions.
const AHEAD: i32 = 3;

/// How many months back an event may be and get a partition for its month. What is older, or later than
/// those ahead, was dated by a clock that was wrong.
const BACK: i32 = 120;

const ADD: &str = "SELECT add_interactions_partition($1)";

/// A month, counted from the beginning of the calendar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Month(i32);

impl Month {
    /// The month of a time; `None` beyond the years that the database knows.
    fn of(time: Timestamp) -> Option<Self> {
        let date = datetime(time).ok()?.date();
        Some(Self(date.year() * 12 + i32::from(u8::from(date.month())) - 1))
    }

    fn first_day(self) -> Result<Date, Error> {
        let month = u8::try_from(self.0.rem_euclid(12) + 1).unwrap_or(1);
        let month = time::Month::try_from(month).map_err(|e| Error::Encode(e.into()))?;
        Date::from_calendar_date(self.0.div_euclid(12), month, 1)
            .map_err(|e| Error::Encode(e.into()))
    }
}

/// The names of the partitions of the month of `now` and of the next one.
pub(super) fn names_of_two_months(now: Timestamp) -> Vec<String> {
    let months = Month::of(now).into_iter().flat_map(|present| [present, Month(present.0 + 1)]);
    let name = |month: Month| {
        format!("interactions_{}_{:02}", month.0.div_euclid(12), month.0.rem_euclid(12) + 1)
    };
    months.map(name).collect()
}

/// Which partitions are known to be there.
#[derive(Default)]
pub(super) struct Partitions {
    known: Mutex<BTreeSet<Month>>,
}

impl Partitions {
    /// The months that there should be partitions for and are not known to be: those ahead of `now`, and those
    /// of a batch.
    pub(super) fn missing(&self, batch: &[LoggedEvent], now: Timestamp) -> Vec<Month> {
        let Some(present) = Month::of(now) else { return Vec::new() };
        let plausible = present.0 - BACK..=present.0 + AHEAD;
        let of_batch = batch.iter().filter_map(|logged| Month::of(logged.event.time));
        let of_batch = of_batch.filter(|month| plausible.contains(&month.0));
        let ahead = (present.0..=present.0 + AHEAD).map(Month);
        let wanted: BTreeSet<_> = ahead.chain(of_batch).collect();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.difference(&known).copied().collect()
    }

    /// Notes that there are partitions for these months.
    pub(super) fn note(&self, months: &[Month]) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).extend(months);
    }
}

/// Adds the partitions that are not there, each in a transaction of its own: it locks the default one for
/// as long as it takes.
pub(super) async fn add(connection: &mut PgConnection, months: &[Month]) -> Result<(), Error> {
    for month in months {
        let mut tx = connection.begin().await?;
        sqlx::query(ADD).bind(month.first_day()?).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(())
}
