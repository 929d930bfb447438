//! What an audit found.

use serde::{Serialize, Serializer};

use crate::domain::time::Timestamp;

/// What is compared with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// Runs whose events are in the log, but were not relayed.
    UnrelayedRuns,
    /// Documents whose last event is not in the log.
    UnappendedEvents,
    /// Events of the log that were neither projected nor set aside.
    UnprojectedEvents,
    /// Projected events that say something else than the log.
    MisprojectedEvents,
    /// Rows of users, posts and follows in the analytics that lag behind the log, or are of no event.
    AnalyticsRows,
    /// Events of the log that the document they are about does not know.
    LostDocuments,
    /// Notifications of events that are not in the inbox of whom they are for.
    UntoldNotices,
    /// Projected events that the log does not have, or that were projected twice.
    UnknownInteractions,
    /// Events that were set aside.
    DeadLetters,
    /// Counts by day that are not what the projected events make them.
    DailyCounts,
    /// Totals by kind that are not what the projected events make them.
    Totals,
    /// Counts of posts that are not what the documents make them.
    PostCounts,
    /// Counts of followers that are not what the follows make them.
    FollowCounts,
    /// Counts of unread notifications that are not what the inboxes make them.
    UnreadCounts,
}

impl Check {
    /// All of them, in the order in which they are made: what one of them repairs may change what the next ones find.
    pub const ALL: [Self; 14] = [
        Self::UnrelayedRuns,
        Self::UnappendedEvents,
        Self::UnprojectedEvents,
        Self::MisprojectedEvents,
        Self::AnalyticsRows,
        Self::LostDocuments,
        Self::UntoldNotices,
        Self::UnknownInteractions,
        Self::DeadLetters,
        Self::DailyCounts,
        Self::Totals,
        Self::PostCounts,
        Self::FollowCounts,
        Self::UnreadCounts,
    ];

    /// The name, which never changes its meaning.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnrelayedRuns => "unrelayed_runs",
            Self::UnappendedEvents => "unappended_events",
            Self::UnprojectedEvents => "unprojected_events",
            Self::MisprojectedEvents => "misprojected_events",
            Self::AnalyticsRows => "analytics_rows",
            Self::LostDocuments => "lost_documents",
            Self::UntoldNotices => "untold_notices",
            Self::UnknownInteractions => "unknown_interactions",
            Self::DeadLetters => "dead_letters",
            Self::DailyCounts => "daily_counts",
            Self::Totals => "totals",
            Self::PostCounts => "post_counts",
            Self::FollowCounts => "follow_counts",
            Self::UnreadCounts => "unread_counts",
        }
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The check.
    pub check: Check,
    /// How many runs, documents, events, days or users were looked at.
    pub examined: u64,
    /// How many differences there are.
    pub found: u64,
    /// How many of them were repaired.
    pub repaired: u64,
    /// The first of them, in words.
    pub examples: Vec<String>,
}

/// What became of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It was not to be repaired.
    None,
    /// It was repaired.
    Repaired,
    /// It was left as it is, and why.
    Left(String),
}

/// What all checks found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Events that were minted later were left out: some may still be on their way.
    pub as_of: Timestamp,
    /// One for each check.
    pub checks: Vec<Outcome>,
    #[serde(skip)]
    examples_max: usize,
}

impl Report {
    /// A report that found nothing yet, and will hold so many examples of what each check finds.
    pub fn new(as_of: Timestamp, examples_max: usize) -> Self {
        let outcome =
            |check| Outcome { check, examined: 0, found: 0, repaired: 0, examples: Vec::new() };
        Self { as_of, checks: Check::ALL.map(outcome).into(), examples_max }
    }

    /// Whether nothing differs.
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(|outcome| outcome.found == 0)
    }

    /// What a check found.
    pub fn of(&self, check: Check) -> &Outcome {
        &self.checks[check as usize]
    }

    /// Notes that so many more were looked at.
    pub(super) fn examined(&mut self, check: Check, count: usize) {
        self.checks[check as usize].examined += count as u64;
    }

    /// Notes a difference.
    pub(super) fn found(&mut self, check: Check, what: impl Into<String>, remedy: Remedy) {
        self.found_many(check, 1, [what.into()], remedy);
    }

    /// Notes differences that have one remedy, with the first of them in words.
    pub(super) fn found_many(
        &mut self,
        check: Check,
        count: u64,
        examples: impl IntoIterator<Item = String>,
        remedy: Remedy,
    ) {
        let room = self.examples_max.saturating_sub(self.of(check).examples.len());
        let outcome = &mut self.checks[check as usize];
        outcome.found += count;
        if remedy == Remedy::Repaired {
            outcome.repaired += count;
        }
        let examples = examples.into_iter().take(room).map(|what| match &remedy {
            Remedy::Left(why) => format!("{what}; left as it is: {why}"),
            Remedy::None | Remedy::Repaired => what,
        });
        outcome.examples.extend(examples);
    }
}
