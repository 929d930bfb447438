//! The analytics by themselves: events that the log does not have, events that were set aside, and counts.

use std::collections::HashMap;

use tokio::time::Instant;

use super::report::{Check, Remedy, Report};
use super::{Audit, Beginning, FIRST, LONG_AGO, PAGE_MAX};
use crate::domain::event::LoggedEvent;
use crate::domain::ids::EventId;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::audit::analytics::{DeadLetter, Interaction, Miscount, Miscounts};
use crate::ports::event_log::LogCursor;

/// What puts right what cannot be put right event by event.
const REBUILD: &str = "`carillon rebuild analytics` makes it anew";

impl Audit {
    /// Looks for projected events that the log lacks, and for events that were projected twice.
    pub(super) async fn find_unknown(
        &self,
        begin: &Beginning,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let projected = &self.stores.projected;
        let mut after = (FIRST, LONG_AGO);
        let mut previous = None;
        loop {
            let looked = Instant::now();
            let page = projected.interactions_between(after, begin.before, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = (last.event, last.at);
            report.examined(Check::UnknownInteractions, page.len());
            let ids: Vec<_> = page.iter().map(|row| row.event).collect();
            let missing = self.stores.events.missing(&ids).await?;
            if !missing.is_empty() {
                self.settle(looked).await;
                for event in self.stores.events.missing(&missing).await? {
                    let row = page.iter().find(|row| row.event == event);
                    let kind = row.map_or("event", |row| row.kind.as_str());
                    let why = format!("nothing says that it did not happen; {REBUILD}, without it");
                    let remedy = self.remedy(async { Ok(Remedy::Left(why)) }).await?;
                    let what = format!("{kind} {event} is not in the log");
                    report.found(Check::UnknownInteractions, what, remedy);
                }
            }
            for pair in twins(previous.as_ref(), &page) {
                self.tell_twins(pair, report).await?;
            }
            previous = page.into_iter().next_back();
        }
    }

    /// An event that is there at two times happened at one of them.
    async fn tell_twins(
        &self,
        twins: [&Interaction; 2],
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let event = twins[0].event;
        let logged = self.stores.log.find(&[event]).await?.pop();
        let wrong =
            logged.and_then(|logged| twins.into_iter().find(|row| row.at != logged.event.time));
        let remedy = self.remedy(async {
            let Some(wrong) = wrong else { return Ok(Remedy::Left(REBUILD.into())) };
            self.stores.projected.take_out(&[(wrong.event, wrong.at)]).await?;
            Ok(Remedy::Repaired)
        });
        let what = format!("{} {event} was projected twice", twins[0].kind);
        report.found(Check::UnknownInteractions, what, remedy.await?);
        Ok(())
    }

    /// Tells of events that were set aside.
    pub(super) async fn find_dead(&self, report: &mut Report) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.stores.projected.dead_letters(after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.event);
            report.examined(Check::DeadLetters, page.len());
            for letter in page {
                let remedy = self.remedy(self.revive(&letter)).await?;
                let what = format!("{}: {}", letter.event, letter.reason);
                report.found(Check::DeadLetters, what, remedy);
            }
        }
    }

    /// Tries once more; whatever was in the way may be gone.
    async fn revive(&self, letter: &DeadLetter) -> Result<Remedy, StoreError> {
        let Some(logged) = self.stores.log.find(&[letter.event]).await?.pop() else {
            return Ok(Remedy::Left("the log does not have it".into()));
        };
        match self.project(std::slice::from_ref(&logged)).await? {
            Remedy::Repaired => {
                self.stores.projected.forget_dead_letters(&[letter.event]).await?;
                Ok(Remedy::Repaired)
            }
            left => Ok(left),
        }
    }

    /// Projects events of any runs, and leaves their cursors where they are: nodes go on from there.
    pub(super) async fn project(&self, events: &[LoggedEvent]) -> Result<Remedy, StoreError> {
        let mut runs: HashMap<_, Vec<LoggedEvent>> = HashMap::new();
        for logged in events {
            runs.entry(logged.incarnation).or_default().push(logged.clone());
        }
        for (incarnation, batch) in runs {
            let nowhere = LogCursor { incarnation, seq: 0 };
            match self.stores.analytics.project(&batch, nowhere).await {
                Ok(()) => {}
                Err(StoreError::Corrupt { cause, .. }) => return Ok(Remedy::Left(cause)),
                Err(error) => return Err(error),
            }
        }
        Ok(Remedy::Repaired)
    }

    /// Compares counts and tables for joins with the projected events.
    pub(super) async fn compare_aggregates(&self, report: &mut Report) -> Result<(), StoreError> {
        let (aggregates, examples) = (&self.stores.aggregates, self.patience.examples_max);
        let mut day = aggregates.next_day(None).await?;
        while let Some(this) = day {
            report.examined(Check::DailyCounts, 1);
            let wrong = aggregates.miscounts_of(this, examples).await?;
            if wrong.found > 0 {
                let recount =
                    async { aggregates.recount_day(this).await.map(|()| Remedy::Repaired) };
                let remedy = self.remedy(recount).await?;
                tell(Check::DailyCounts, wrong, remedy, report);
            }
            day = match this.checked_add(1) {
                Some(next) => aggregates.next_day(Some(next)).await?,
                None => None,
            };
        }
        report.examined(Check::Totals, 1);
        let wrong = aggregates.miscounted_totals().await?;
        if wrong.found > 0 {
            let recount = async { aggregates.recount_totals().await.map(|()| Remedy::Repaired) };
            let remedy = self.remedy(recount).await?;
            tell(Check::Totals, wrong, remedy, report);
        }
        let unfounded = aggregates.unfounded_rows(PAGE_MAX).await?;
        for row in unfounded {
            let remedy = self.remedy(async { Ok(Remedy::Left(REBUILD.into())) }).await?;
            report.found(Check::AnalyticsRows, format!("{row}: of no event"), remedy);
        }
        Ok(())
    }
}

/// Rows of one event that follow each other.
fn twins<'a>(
    previous: Option<&'a Interaction>,
    page: &'a [Interaction],
) -> impl Iterator<Item = [&'a Interaction; 2]> {
    let rows = previous.into_iter().chain(page);
    rows.clone().zip(rows.skip(1)).filter(|(a, b)| a.event == b.event).map(|(a, b)| [a, b])
}

fn tell(check: Check, wrong: Miscounts, remedy: Remedy, report: &mut Report) {
    let count = |count: Option<i64>| count.map_or("nothing".to_owned(), |count| count.to_string());
    let in_words = |one: Miscount| {
        format!("{}: {} instead of {}", one.what, count(one.kept), count(one.counted))
    };
    report.found_many(check, wrong.found, wrong.examples.into_iter().map(in_words), remedy);
}

/// The place of an event in the projection.
pub(super) fn place_of(logged: &LoggedEvent) -> (EventId, Timestamp) {
    (logged.event.id, logged.event.time)
}
