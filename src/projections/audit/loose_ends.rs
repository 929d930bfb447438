//! What was begun and not finished: runs that were not relayed, documents without their event.

use std::collections::HashMap;

use tokio::time::Instant;

use super::report::{Check, Remedy, Report};
use super::{Audit, Beginning, FIRST, PAGE_MAX};
use crate::domain::event::Event;
use crate::domain::ids::Incarnation;
use crate::ports::StoreError;
use crate::ports::audit::log::KnownRun;

impl Audit {
    /// Looks for runs whose relay is late. Returns all runs.
    pub(super) async fn find_unrelayed(
        &self,
        report: &mut Report,
    ) -> Result<HashMap<Incarnation, KnownRun>, StoreError> {
        let (mut suspects, looked) = (Vec::new(), Instant::now());
        let runs = self.all_runs().await?;
        report.examined(Check::UnrelayedRuns, runs.len());
        for run in runs.values() {
            if self.unrelayed(run).await?.is_some() {
                suspects.push(run.cursor.incarnation);
            }
        }
        if suspects.is_empty() {
            return Ok(runs);
        }
        self.settle(looked).await;
        let later = self.all_runs().await?;
        for run in suspects.iter().filter_map(|suspect| later.get(suspect)) {
            let Some(event) = self.unrelayed(run).await? else { continue };
            let remedy = self.remedy(self.open_again(run)).await?;
            let what = format!(
                "run {}: the {} of {} was not relayed, nor what follows it",
                run.cursor.incarnation,
                event.fact.kind(),
                event.id.minted_at(),
            );
            report.found(Check::UnrelayedRuns, what, remedy);
        }
        Ok(runs)
    }

    async fn all_runs(&self) -> Result<HashMap<Incarnation, KnownRun>, StoreError> {
        let (mut runs, mut after) = (HashMap::new(), None);
        loop {
            let page = self.stores.log.runs(after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(runs) };
            after = Some(last.cursor.incarnation);
            runs.extend(page.into_iter().map(|run| (run.cursor.incarnation, run)));
        }
    }

    /// The first event that a run did not relay, if that is late.
    async fn unrelayed(&self, run: &KnownRun) -> Result<Option<Event>, StoreError> {
        let next = self.stores.events.read_after(run.cursor, 1).await?.pop();
        Ok(next.map(|logged| logged.event).filter(|event| self.is_late(event)))
    }

    /// Nodes finish the runs of others that are open and show no sign of life; one that is closed is forgotten.
    async fn open_again(&self, run: &KnownRun) -> Result<Remedy, StoreError> {
        if run.is_closed {
            let swept_until = run.cursor.incarnation.began_at();
            self.stores.runs.renew(run.cursor.incarnation, swept_until).await?;
            return Ok(Remedy::Left("it is open again, and nodes relay the rest".into()));
        }
        Ok(Remedy::Left("its node relays it, or another one once that node is gone".into()))
    }

    /// Looks for documents whose last event the log lacks.
    pub(super) async fn find_unappended(
        &self,
        begin: &Beginning,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let mut after = FIRST;
        loop {
            let looked = Instant::now();
            let content = &self.stores.content;
            let ids = content.embedded_ids(after, begin.before, PAGE_MAX).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = *last;
            report.examined(Check::UnappendedEvents, ids.len());
            let suspects = self.stores.events.missing(&ids).await?;
            if suspects.is_empty() {
                continue;
            }
            self.settle(looked).await;
            let missing = self.stores.events.missing(&suspects).await?;
            for event in content.embedded_events(&missing).await? {
                let what =
                    format!("{} {} of {}", event.fact.kind(), event.id, event.fact.subject());
                let remedy = self.remedy(self.append(event)).await?;
                report.found(Check::UnappendedEvents, what.trim_end(), remedy);
            }
        }
    }

    async fn append(&self, event: Event) -> Result<Remedy, StoreError> {
        let Some(commit) = &self.repairs else { return Ok(Remedy::None) };
        if commit(event).await {
            return Ok(Remedy::Repaired);
        }
        Ok(Remedy::Left("the log did not take it in time".into()))
    }
}
