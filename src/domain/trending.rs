//! Trending: what an interaction adds to a post's score, and how that fades.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::event::{Event, Fact};
use super::ids::PostId;
use super::post::{Author, Post};
use super::time::Timestamp;

/// A span of time, up to now, that a ranked list looks back on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
pub enum Window {
    /// One hour.
    #[schema(rename = "1h")]
    Hour,
    /// 24 hours.
    #[schema(rename = "24h")]
    Day,
    /// Seven days.
    #[schema(rename = "7d")]
    Week,
}

impl Window {
    /// All windows, shortest first.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Week];

    /// The name in the API and in channels: `1h`, `24h` or `7d`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    /// Reads a name; `None` for any other text.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.as_str() == name)
    }

    /// Its length in milliseconds.
    pub fn length_millis(self) -> i64 {
        let hour = 3_600_000;
        match self {
            Self::Hour => hour,
            Self::Day => 24 * hour,
            Self::Week => 7 * 24 * hour,
        }
    }

    /// The length of one bucket in milliseconds; interactions within one fade together.
    pub fn bucket_millis(self) -> i64 {
        match self {
            Self::Hour => 60_000,
            Self::Day => 15 * 60_000,
            Self::Week => 2 * 3_600_000,
        }
    }

    /// How many buckets it has.
    pub fn buckets(self) -> i64 {
        self.length_millis() / self.bucket_millis()
    }

    /// The number of the bucket that `time` is in, counted from the Unix epoch.
    pub fn bucket_of(self, time: Timestamp) -> i64 {
        time.as_millis().div_euclid(self.bucket_millis())
    }

    /// What remains of an interaction in a bucket that is `age` buckets older than the current
    /// one: half after a third of the window, nothing beyond it. A bucket of the near future,
    /// which a node with a fast clock fills, is taken for the current one.
    pub fn remains(self, age: i64) -> f64 {
        if age >= self.buckets() {
            return 0.0;
        }
        // A window has fewer than 100 buckets: nothing is lost.
        let (age, half_life) = (age.max(0) as f64, self.buckets() as f64 / 3.0);
        0.5_f64.powf(age / half_life)
    }
}

/// A kind of interaction that counts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Interaction {
    /// A view.
    Views,
    /// A like.
    Likes,
    /// A comment.
    Comments,
    /// A share.
    Shares,
    /// A bookmark.
    Bookmarks,
}

impl Interaction {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Views, Self::Likes, Self::Comments, Self::Shares, Self::Bookmarks];
}

/// What one interaction of each kind adds to a score before it fades.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// A view.
    pub view: f64,
    /// A like.
    pub like: f64,
    /// A comment.
    pub comment: f64,
    /// A share.
    pub share: f64,
    /// A bookmark.
    pub bookmark: f64,
}

impl Weights {
    /// The weight of one kind.
    pub fn of(&self, interaction: Interaction) -> f64 {
        match interaction {
            Interaction::Views => self.view,
            Interaction::Likes => self.like,
            Interaction::Comments => self.comment,
            Interaction::Shares => self.share,
            Interaction::Bookmarks => self.bookmark,
        }
    }
}

/// What an event adds to the tallies of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The post.
    pub post: PostId,
    /// What was done.
    pub interaction: Interaction,
    /// The time that it counts for; what is taken back counts for the time at which it was done.
    pub at: Timestamp,
    /// 1, or -1 for what was taken back.
    pub amount: i64,
}

/// The kinds of events that add something.
pub const COUNTED: [&str; 8] = [
    "post.viewed",
    "post.liked",
    "post.unliked",
    "post.bookmarked",
    "post.unbookmarked",
    "post.shared",
    "post.commented",
    "comment.removed",
];

/// What `event` adds, if it adds anything.
pub fn tally_of(event: &Event) -> Option<Tally> {
    let (post, interaction, at, amount) = match &event.fact {
        Fact::PostViewed(mark) => (mark.post_id, Interaction::Views, event.time, 1),
        Fact::PostLiked(mark) => (mark.post_id, Interaction::Likes, event.time, 1),
        Fact::PostUnliked(mark) => {
            (mark.post_id, Interaction::Likes, mark.since.unwrap_or(event.time), -1)
        }
        Fact::PostBookmarked(mark) => (mark.post_id, Interaction::Bookmarks, event.time, 1),
        Fact::PostUnbookmarked(mark) => {
            (mark.post_id, Interaction::Bookmarks, mark.since.unwrap_or(event.time), -1)
        }
        Fact::PostShared(mark) => (mark.post_id, Interaction::Shares, event.time, 1),
        Fact::PostCommented(change) => {
            (change.comment.post_id, Interaction::Comments, event.time, 1)
        }
        Fact::CommentRemoved(change) => {
            (change.comment.post_id, Interaction::Comments, change.comment.created_at, -1)
        }
        _ => return None,
    };
    Some(Tally { post, interaction, at, amount })
}

/// What one kind of interaction adds to a score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Share {
    /// Interactions within the window.
    pub count: i64,
    /// What each added when it happened.
    pub weight: f64,
    /// What all of them add now.
    pub score: f64,
}

/// A post's place in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The post.
    pub post: PostId,
    /// The sum of the shares, always above 0.
    pub score: f64,
    /// What each kind of interaction adds, kinds without any left out.
    pub shares: Vec<(Interaction, Share)>,
}

/// A post in a trending list. Serialised it is the item of the API.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TrendingItem {
    /// From 1, without gaps.
    pub rank: usize,
    /// The post.
    pub post_id: PostId,
    /// Its title now.
    pub title: String,
    /// Who wrote it.
    pub author: Author,
    /// The score, rounded to three decimals.
    pub score: f64,
    /// What each kind of interaction adds to the score before it is rounded, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub explain: Option<BTreeMap<Interaction, Share>>,
}

/// The list that shows those of `ranked` that are among `posts`, at most `limit`.
pub fn list_of(
    ranked: &[Ranked],
    posts: Vec<Post>,
    limit: usize,
    explain: bool,
) -> Vec<TrendingItem> {
    let mut posts: HashMap<_, _> = posts.into_iter().map(|post| (post.id, post)).collect();
    let shown = ranked.iter().filter_map(|ranked| Some((ranked, posts.remove(&ranked.post)?)));
    let item = |(rank, (ranked, post)): (usize, (&Ranked, Post))| TrendingItem {
        rank,
        post_id: post.id,
        title: post.title,
        author: post.author,
        score: (ranked.score * 1_000.0).round() / 1_000.0,
        explain: explain.then(|| ranked.shares.iter().copied().collect()),
    };
    (1..).zip(shown.take(limit)).map(item).collect()
}
