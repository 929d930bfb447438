//! What decides what an inbox lists: its state, what its user wishes to hear of, and whom the user followed when.
//!
//! Wishes and follows change rarely and are needed for every notification. So each node remembers them together
//! with the revision of the inbox, which everything that changes them raises afterwards.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use futures_util::future::try_join;
use mongodb::bson::{DateTime, doc};
use serde::Deserialize;

use crate::domain::notification::NotificationKind;
use crate::domain::preferences::Preferences;
use crate::domain::time::Timestamp;

use super::content::{MongoContent, PROFILES};
use super::follows::Spans;
use super::inbox::InboxDocument;
use super::inbox_items::Posted;
use super::store::Failure;

/// How many users are remembered.
const KNOWN_MAX: usize = 100_000;
/// Who follows more authors is not remembered.
const FOLLOWS_MAX: usize = 1_000;
/// For how long. A crash may come between a change and the revision.
const KNOWN_TTL: Duration = Duration::from_secs(60);

/// What a user wants to be told of.
#[derive(Default)]
pub(super) struct Wishes {
    /// Kinds that are neither put there nor listed.
    pub(super) muted: Vec<NotificationKind>,
    /// By author.
    pub(super) follows: HashMap<i64, Spans>,
}

/// Everything about a user that decides what the inbox lists and how.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) inbox: InboxDocument,
    pub(super) wishes: Arc<Wishes>,
}

impl Reader {
    /// Whether such things are listed.
    pub(super) fn wants(&self, kind: NotificationKind) -> bool {
        !self.wishes.muted.contains(&kind)
    }

    /// Up to when everything was read.
    pub(super) fn read_through(&self) -> DateTime {
        self.inbox.read_through.unwrap_or(DateTime::MIN)
    }

    /// Whether the author of a post was followed when it was published.
    pub(super) fn followed(&self, post: &Posted) -> bool {
        let follow = self.wishes.follows.get(&post.author_id);
        follow.is_some_and(|follow| follow.spans.iter().any(|span| span.holds(post.published_at)))
    }

    /// Authors of whom posts since `floor` may be listed.
    pub(super) fn authors_since(&self, floor: DateTime) -> impl Iterator<Item = i64> + '_ {
        let lasting = move |follow: &&Spans| {
            follow.spans.iter().any(|span| span.until.is_none_or(|until| until > floor))
        };
        self.wishes.follows.values().filter(lasting).map(|follow| follow.followee)
    }
}

/// What is remembered of the wishes of users.
#[derive(Default)]
pub(super) struct KnownWishes {
    users: DashMap<i64, Known>,
}

struct Known {
    /// Of the inbox, read before the wishes.
    revision: i64,
    read_at: Timestamp,
    wishes: Arc<Wishes>,
}

impl KnownWishes {
    fn of(&self, user: i64, revision: i64, now: Timestamp) -> Option<Arc<Wishes>> {
        let known = self.users.get(&user)?;
        let holds = known.revision == revision && now.since(known.read_at) < KNOWN_TTL;
        holds.then(|| Arc::clone(&known.wishes))
    }

    fn learn(&self, user: i64, known: Known) {
        if self.users.len() >= KNOWN_MAX {
            self.users.clear();
        }
        if known.wishes.follows.len() <= FOLLOWS_MAX {
            self.users.insert(user, known);
        }
    }
}

#[derive(Deserialize)]
struct Profile {
    #[serde(rename = "_id")]
    user: i64,
    preferences: Option<Preferences>,
}

impl MongoContent {
    /// The inbox first, for what it tells must not be newer than what else is read.
    pub(super) async fn readers(&self, users: &[i64]) -> Result<HashMap<i64, Reader>, Failure> {
        let mut inboxes = self.inboxes(users).await?;
        let now = self.clock.now();
        let mut readers = HashMap::with_capacity(users.len());
        let mut unknown = Vec::new();
        for user in users {
            let inbox = inboxes.remove(user).unwrap_or_default();
            let wishes = self.known_wishes.of(*user, inbox.revision, now);
            unknown.extend(wishes.is_none().then_some(*user));
            readers.insert(*user, Reader { inbox, wishes: wishes.unwrap_or_default() });
        }
        for (user, wishes) in self.wishes_of(&unknown).await? {
            let Some(reader) = readers.get_mut(&user) else { continue };
            let (revision, wishes) = (reader.inbox.revision, Arc::new(wishes));
            reader.wishes = Arc::clone(&wishes);
            self.known_wishes.learn(user, Known { revision, read_at: now, wishes });
        }
        Ok(readers)
    }

    async fn wishes_of(&self, users: &[i64]) -> Result<HashMap<i64, Wishes>, Failure> {
        if users.is_empty() {
            return Ok(HashMap::new());
        }
        let (mut muted, follows) = try_join(self.muted_by(users), self.spans_of(users)).await?;
        let of = |user: &i64| {
            let muted = muted.remove(user).unwrap_or_default();
            (*user, Wishes { muted, follows: HashMap::new() })
        };
        let mut wishes: HashMap<_, _> = users.iter().map(of).collect();
        for follow in follows {
            if let Some(wishes) = wishes.get_mut(&follow.follower) {
                wishes.follows.insert(follow.followee, follow);
            }
        }
        Ok(wishes)
    }

    /// Kinds that users do not want; users who want all are left out.
    async fn muted_by(
        &self,
        users: &[i64],
    ) -> Result<HashMap<i64, Vec<NotificationKind>>, Failure> {
        let profiles = self.collection::<Profile>(PROFILES);
        let query = profiles
            .find(doc! { "_id": { "$in": users.to_vec() } })
            .projection(doc! { "_id": 1, "preferences": 1 });
        let found = self.db.all(query).await?.into_iter();
        let muted = found.filter_map(|profile| {
            let preferences = profile.preferences?;
            let muted = NotificationKind::ALL.into_iter().filter(|kind| !preferences.wants(*kind));
            Some((profile.user, muted.collect::<Vec<_>>()))
        });
        Ok(muted.filter(|(_, kinds)| !kinds.is_empty()).collect())
    }
}
