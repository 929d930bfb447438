//! Stores of content that hold nothing, for tests of what does not ask them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::announcement::{self, Audience, Present};
use crate::domain::event::{Event, InboxRead};
use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::mark::MarkKey;
use crate::domain::namespace::Namespaces;
use crate::domain::notification::{InboxState, Notice, Notification};
use crate::domain::page::Cursor;
use crate::domain::post::{Post, PostCounts, Standing};
use crate::domain::preferences::Preferences;
use crate::domain::publication::PublicationBody;
use crate::domain::time::Timestamp;
use crate::domain::trending::{Ranked, Tally, Window};
use crate::ports::StoreError;
use crate::ports::broker::Broker;
use crate::ports::content::{Content, CreatePostError, Kept, PostFilter};
use crate::ports::inbox::{Inbox, Told};
use crate::ports::marks::{FollowCounts, MarkChange, Marks, OwnMarks, StoredMark};
use crate::ports::present::PresentReader;
use crate::ports::trending::{Trending, Turn};
use crate::relay::publisher::Publisher;

/// Finds nothing, and takes nothing.
pub struct Absent;

/// A present of which nothing is known.
pub fn present() -> PresentReader {
    PresentReader { content: Arc::new(Absent), inbox: Arc::new(Absent) }
}

/// A publisher of events that concern no inbox.
pub fn publisher(broker: Arc<dyn Broker>, namespaces: Arc<Namespaces>) -> Publisher {
    let trending = Arc::new(Absent);
    Publisher { broker, namespaces, present: present(), trending }
}

/// What feeds, and subscribers of bare channels, are told of an event.
pub fn body_of(event: &Event) -> Arc<PublicationBody> {
    announcement::body_for(event, Audience::Feed, &Present::default())
}

fn nothing<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable { store: "content", cause: "there is none in this test".into() })
}

#[async_trait]
impl Content for Absent {
    async fn create_post(&self, _: &Post, _: &Event) -> Result<(Post, Event), CreatePostError> {
        Ok(nothing()?)
    }

    async fn kept_post(&self, _: PostId) -> Result<Option<Kept<Post>>, StoreError> {
        Ok(None)
    }

    async fn replace_post(&self, _: &Kept<Post>, _: EventId) -> Result<bool, StoreError> {
        nothing()
    }

    async fn standings(&self, _: &[PostId]) -> Result<HashMap<PostId, Standing>, StoreError> {
        Ok(HashMap::new())
    }

    async fn post_with_slug(&self, _: &str) -> Result<Option<PostId>, StoreError> {
        Ok(None)
    }

    async fn published(&self, _: &[PostId]) -> Result<Vec<Post>, StoreError> {
        Ok(Vec::new())
    }

    async fn posts(
        &self,
        _: &PostFilter,
        _: Option<&Cursor>,
        _: usize,
    ) -> Result<Vec<Post>, StoreError> {
        Ok(Vec::new())
    }

    async fn counts(&self, _: &[PostId]) -> Result<HashMap<PostId, PostCounts>, StoreError> {
        Ok(HashMap::new())
    }

    async fn embedded_ids(
        &self,
        _: EventId,
        _: EventId,
        _: usize,
    ) -> Result<Vec<EventId>, StoreError> {
        Ok(Vec::new())
    }

    async fn embedded_events(&self, _: &[EventId]) -> Result<Vec<Event>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Inbox for Absent {
    async fn put(&self, _: &[Notice]) -> Result<Told, StoreError> {
        nothing()
    }

    async fn items(
        &self,
        _: &[(UserId, EventId)],
    ) -> Result<HashMap<(UserId, EventId), Notification>, StoreError> {
        Ok(HashMap::new())
    }

    async fn states(&self, _: &[UserId]) -> Result<HashMap<UserId, InboxState>, StoreError> {
        Ok(HashMap::new())
    }

    async fn list(
        &self,
        _: UserId,
        _: bool,
        _: Option<&Cursor>,
        _: usize,
    ) -> Result<Vec<Notification>, StoreError> {
        Ok(Vec::new())
    }

    async fn last_read(&self, _: UserId) -> Result<Option<Event>, StoreError> {
        Ok(None)
    }

    async fn mark_read(
        &self,
        _: UserId,
        _: &InboxRead,
        _: &Event,
        _: Option<EventId>,
    ) -> Result<bool, StoreError> {
        nothing()
    }

    async fn mark_seen(&self, _: UserId, _: &Notification) -> Result<(), StoreError> {
        nothing()
    }

    async fn preferences(&self, _: UserId) -> Result<Preferences, StoreError> {
        Ok(Preferences::default())
    }

    async fn put_preferences(&self, _: UserId, _: &Preferences) -> Result<(), StoreError> {
        nothing()
    }
}

#[async_trait]
impl Marks for Absent {
    async fn marks(&self, _: &[MarkKey]) -> Result<HashMap<MarkKey, StoredMark>, StoreError> {
        Ok(HashMap::new())
    }

    async fn set_marks(&self, _: &[MarkChange]) -> Result<Vec<bool>, StoreError> {
        nothing()
    }

    async fn own_marks(
        &self,
        _: UserId,
        _: &[PostId],
    ) -> Result<HashMap<PostId, OwnMarks>, StoreError> {
        Ok(HashMap::new())
    }

    async fn follow_counts(
        &self,
        _: &[UserId],
    ) -> Result<HashMap<UserId, FollowCounts>, StoreError> {
        Ok(HashMap::new())
    }

    async fn followers(
        &self,
        _: UserId,
        _: Option<&Cursor>,
        _: usize,
    ) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
        Ok(Vec::new())
    }

    async fn following(
        &self,
        _: UserId,
        _: Option<&Cursor>,
        _: usize,
    ) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
        Ok(Vec::new())
    }

    async fn followed_by(&self, _: UserId) -> Result<Vec<UserId>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Trending for Absent {
    async fn is_whole(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn begin_recount(&self) -> Result<String, StoreError> {
        nothing()
    }

    async fn declare_whole(&self, _: &str) -> Result<bool, StoreError> {
        nothing()
    }

    async fn turn(&self, _: Window, _: &str, _: Duration) -> Result<Turn, StoreError> {
        Ok(Turn::Granted)
    }

    async fn note_told(&self, _: Window, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn count(&self, _: &[(EventId, Tally)]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn ranked(&self, _: Window, _: Timestamp, _: usize) -> Result<Vec<Ranked>, StoreError> {
        Ok(Vec::new())
    }
}
