//! What commands ask the content together.

use std::sync::Arc;

use super::gathering::Gathering;
use crate::domain::comment::Comment;
use crate::domain::event::Event;
use crate::domain::ids::{EventId, PostId};
use crate::domain::mark::MarkKey;
use crate::domain::post::{PostCounts, Standing};
use crate::ports::comments::Comments;
use crate::ports::content::Content;
use crate::ports::event_log::EventLog;
use crate::ports::marks::{MarkChange, Marks, StoredMark};

/// The questions that a like or a comment comes down to.
#[derive(Clone)]
pub struct Gathered {
    /// Who may do something with a post; `None` for one that is not there, or was removed.
    pub standings: Gathering<PostId, Option<Standing>>,
    /// The counts of a post; all zeroes for one that is not there.
    pub counts: Gathering<PostId, PostCounts>,
    /// A mark, if it ever was set.
    pub marks: Gathering<MarkKey, Option<StoredMark>>,
    /// Sets a mark; whether it was set.
    pub changes: Gathering<MarkChange, bool>,
    /// Creates a comment; the one that is stored then.
    pub comments: Gathering<(Comment, Event), (Comment, Event)>,
    /// Whether the log lacks an event.
    pub missing: Gathering<EventId, bool>,
}

impl Gathered {
    /// Starts to ask these stores.
    pub fn of(
        content: &Arc<dyn Content>,
        marks: &Arc<dyn Marks>,
        comments: &Arc<dyn Comments>,
        log: &Arc<dyn EventLog>,
    ) -> Self {
        let posts = Arc::clone(content);
        let standings = Gathering::start(move |ids: Vec<PostId>| {
            let posts = Arc::clone(&posts);
            async move {
                let found = posts.standings(&ids).await?;
                Ok(ids.iter().map(|id| found.get(id).copied()).collect())
            }
        });
        let posts = Arc::clone(content);
        let counts = Gathering::start(move |ids: Vec<PostId>| {
            let posts = Arc::clone(&posts);
            async move {
                let found = posts.counts(&ids).await?;
                Ok(ids.iter().map(|id| found.get(id).copied().unwrap_or_default()).collect())
            }
        });
        let (read, written) = (Arc::clone(marks), Arc::clone(marks));
        let marks = Gathering::start(move |keys: Vec<MarkKey>| {
            let marks = Arc::clone(&read);
            async move {
                let found = marks.marks(&keys).await?;
                Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
            }
        });
        let changes = Gathering::start(move |changes: Vec<MarkChange>| {
            let marks = Arc::clone(&written);
            async move { marks.set_marks(&changes).await }
        });
        let comments = Arc::clone(comments);
        let comments = Gathering::start(move |new: Vec<(Comment, Event)>| {
            let comments = Arc::clone(&comments);
            async move { comments.create_comments(&new).await }
        });
        Self { standings, counts, marks, changes, comments, missing: missing(log) }
    }
}

/// Asks which events the log lacks.
pub fn missing(log: &Arc<dyn EventLog>) -> Gathering<EventId, bool> {
    let log = Arc::clone(log);
    Gathering::start(move |ids: Vec<EventId>| {
        let log = Arc::clone(&log);
        async move {
            let missing = log.missing(&ids).await?;
            Ok(ids.iter().map(|id| missing.contains(id)).collect())
        }
    })
}
