//! A walk through the log: each event is looked for in the analytics, in the document that it is about, and in the
//! inboxes of those whom it concerns.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use super::analytics::place_of;
use super::documents::{Doubt, latest_of};
use super::report::{Check, Remedy, Report};
use super::{Audit, Beginning, FIRST, PAGE_MAX, SUSPECTS_MAX};
use crate::domain::event::LoggedEvent;
use crate::domain::ids::EventId;
use crate::domain::notification::{Notice, notices_of};
use crate::ports::StoreError;
use crate::ports::audit::analytics::Interaction;

/// What waits for its second look.
#[derive(Default)]
struct Suspects {
    /// Events that the projection lacks, or has otherwise.
    projection: Vec<EventId>,
    /// Events that the tables for joins do not know.
    rows: Vec<EventId>,
    /// Events that their documents do not know.
    documents: Vec<Doubt>,
    /// Events of which somebody was not told.
    notices: Vec<EventId>,
    /// When the last of them was seen.
    seen: Option<Instant>,
}

impl Suspects {
    fn count(&self) -> usize {
        self.projection.len() + self.rows.len() + self.documents.len() + self.notices.len()
    }
}

/// What the projection says of an event.
enum Projected {
    /// The same as the log.
    Alike,
    /// Something else.
    Otherwise(Interaction),
    /// Nothing.
    Nothing,
}

/// What the projection says of events, by their ids.
struct Known(HashMap<EventId, Interaction>);

impl Known {
    fn of(&self, logged: &LoggedEvent) -> Projected {
        let event = &logged.event;
        match self.0.get(&event.id) {
            None => Projected::Nothing,
            Some(row)
                if row.kind == event.fact.kind()
                    && row.user == event.actor.as_ref().map(|actor| actor.id)
                    && row.subject == event.fact.subject() =>
            {
                Projected::Alike
            }
            Some(row) => Projected::Otherwise(row.clone()),
        }
    }
}

fn in_words(LoggedEvent { event, .. }: &LoggedEvent) -> String {
    format!("{} {} of {}", event.fact.kind(), event.id, event.time)
}

impl Audit {
    /// Goes through the log.
    pub(super) async fn walk(
        &self,
        begin: &Beginning,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let (mut after, mut suspects) = (FIRST, Suspects::default());
        loop {
            let page = self.stores.log.events_between(after, begin.before, PAGE_MAX).await?;
            let Some(last) = page.last() else { break };
            after = last.event.id;
            let looked = Instant::now();
            let before = suspects.count();
            self.look_at_projection(&page, begin, &mut suspects, report).await?;
            let latest = latest_of(&page);
            report.examined(Check::LostDocuments, latest.len());
            suspects.documents.extend(self.doubtful(latest).await?);
            self.look_at_notices(&page, begin, &mut suspects, report).await?;
            if suspects.count() > before {
                suspects.seen = Some(looked);
            }
            if suspects.count() >= SUSPECTS_MAX {
                self.look_again(std::mem::take(&mut suspects), report).await?;
            }
        }
        self.look_again(suspects, report).await
    }

    async fn look_at_projection(
        &self,
        page: &[LoggedEvent],
        begin: &Beginning,
        suspects: &mut Suspects,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        report.examined(Check::UnprojectedEvents, page.len());
        report.examined(Check::MisprojectedEvents, page.len());
        let known = self.known(page).await?;
        let mut projected = Vec::with_capacity(page.len());
        for logged in page {
            let cursor = begin.projected.get(&logged.incarnation).copied().unwrap_or(0);
            match known.of(logged) {
                Projected::Alike => projected.push(logged.clone()),
                // The projection has yet to come to it.
                Projected::Nothing if logged.seq > cursor && !self.is_late(&logged.event) => {}
                Projected::Nothing | Projected::Otherwise(_) => {
                    suspects.projection.push(logged.event.id);
                }
            }
        }
        report.examined(Check::AnalyticsRows, projected.len());
        if !self.stores.aggregates.outdated_rows(&projected).await?.is_empty() {
            suspects.rows.extend(projected.iter().map(|logged| logged.event.id));
        }
        Ok(())
    }

    async fn known(&self, events: &[LoggedEvent]) -> Result<Known, StoreError> {
        let places: Vec<_> = events.iter().map(place_of).collect();
        let rows = self.stores.projected.interactions(&places).await?.into_iter();
        Ok(Known(rows.map(|row| (row.event, row)).collect()))
    }

    async fn look_at_notices(
        &self,
        page: &[LoggedEvent],
        begin: &Beginning,
        suspects: &mut Suspects,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        // The relay puts them into inboxes.
        let relayed = page.iter().filter(|logged| {
            let run = begin.relayed.get(&logged.incarnation);
            run.is_some_and(|run| logged.seq <= run.cursor.seq)
        });
        let notices: Vec<Notice> = relayed.flat_map(|logged| notices_of(&logged.event)).collect();
        report.examined(Check::UntoldNotices, notices.len());
        if notices.is_empty() {
            return Ok(());
        }
        let untold: HashSet<_> =
            self.stores.documents.untold(&notices).await?.into_iter().map(|(_, id)| id).collect();
        suspects.notices.extend(untold);
        Ok(())
    }

    async fn look_again(&self, suspects: Suspects, report: &mut Report) -> Result<(), StoreError> {
        let Some(seen) = suspects.seen else { return Ok(()) };
        self.settle(seen).await;
        for ids in suspects.projection.chunks(PAGE_MAX) {
            self.judge_projection(&self.stores.log.find(ids).await?, report).await?;
        }
        for ids in suspects.rows.chunks(PAGE_MAX) {
            let events = self.stores.log.find(ids).await?;
            let rows = self.stores.aggregates.outdated_rows(&events).await?;
            if rows.is_empty() {
                continue;
            }
            let refresh = async {
                self.stores.aggregates.refresh_rows(&events).await?;
                Ok(Remedy::Repaired)
            };
            let remedy = self.remedy(refresh).await?;
            let count = rows.len() as u64;
            let rows = rows.into_iter().map(|row| format!("{row}: not as the log says"));
            report.found_many(Check::AnalyticsRows, count, rows, remedy);
        }
        for doubts in suspects.documents.chunks(PAGE_MAX) {
            self.judge_documents(doubts, report).await?;
        }
        for ids in suspects.notices.chunks(PAGE_MAX) {
            self.judge_notices(&self.stores.log.find(ids).await?, report).await?;
        }
        Ok(())
    }

    async fn judge_projection(
        &self,
        events: &[LoggedEvent],
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let known = self.known(events).await?;
        let ids: Vec<_> = events.iter().map(|logged| logged.event.id).collect();
        let dead = self.stores.projected.dead_among(&ids).await?;
        let mut lacking = Vec::new();
        for logged in events {
            match known.of(logged) {
                Projected::Alike => {}
                // It is told of as a dead letter.
                Projected::Nothing if dead.contains(&logged.event.id) => {}
                Projected::Nothing => lacking.push(logged.clone()),
                Projected::Otherwise(row) => {
                    let again = async {
                        self.stores.projected.take_out(&[(row.event, row.at)]).await?;
                        self.project(std::slice::from_ref(logged)).await
                    };
                    let remedy = self.remedy(again).await?;
                    report.found(Check::MisprojectedEvents, in_words(logged), remedy);
                }
            }
        }
        if lacking.is_empty() {
            return Ok(());
        }
        if self.remedy(self.project(&lacking)).await? != Remedy::Repaired {
            // Not all of them can be, or none is to be.
            for logged in &lacking {
                let remedy = self.remedy(self.project(std::slice::from_ref(logged))).await?;
                report.found(Check::UnprojectedEvents, in_words(logged), remedy);
            }
            return Ok(());
        }
        let count = lacking.len() as u64;
        let words = lacking.iter().map(in_words);
        report.found_many(Check::UnprojectedEvents, count, words, Remedy::Repaired);
        Ok(())
    }

    async fn judge_notices(
        &self,
        events: &[LoggedEvent],
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let notices: Vec<_> = events.iter().flat_map(|logged| notices_of(&logged.event)).collect();
        if notices.is_empty() {
            return Ok(());
        }
        let untold = self.stores.documents.untold(&notices).await?;
        let is_untold =
            |notice: &&Notice| untold.contains(&(notice.recipient, notice.notification.id));
        for notice in notices.iter().filter(is_untold) {
            let put = async {
                self.stores.inbox.put(std::slice::from_ref(notice)).await?;
                Ok(Remedy::Repaired)
            };
            let remedy = self.remedy(put).await?;
            let kind = notice.notification.r#type.as_str();
            let what = format!("{kind} {} for user {}", notice.notification.id, notice.recipient);
            report.found(Check::UntoldNotices, what, remedy);
        }
        Ok(())
    }
}
