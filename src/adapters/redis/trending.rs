//! Trending on all nodes. This file uses `redis`, as all adapters of Redis do but the broker.

mod clear;
mod wholeness;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Mutex;

use super::commands::RedisCommands;
use crate::domain::ids::{EventId, PostId};
use crate::domain::time::Timestamp;
use crate::domain::trending::{Interaction, Ranked, Share, Tally, Weights, Window};
use crate::ports::StoreError;
use crate::ports::entropy::Entropy;
use crate::ports::trending::{Trending, Turn};
use wholeness::Wholeness;

/// How many events are remembered, at least and at most. Between, those of [`REMEMBERED_FOR`].
const REMEMBERED: (usize, usize) = (200_000, 2_000_000);
/// How long an event is remembered, by the time in its id.
const REMEMBERED_FOR: Duration = Duration::from_secs(48 * 3_600);
/// How long the log may take to be counted again.
const RECOUNT_TTL: Duration = Duration::from_secs(3_600);
/// How long it is known which list was last told; then it may be told once more.
const TOLD_TTL: Duration = Duration::from_secs(3_600);
/// How many tallies one script counts.
const TALLIES_MAX: usize = 256;
/// Scores below this are what is left of rounding.
const LEAST_SCORE: f64 = 1e-9;
const KINDS: usize = Interaction::ALL.len();
/// What decides which shard of a cluster has all of it.
const TAG: &str = "trending";

/// Counts in whole numbers, in one hash a bucket, under one hash tag. Each node keeps what it has
/// read, and reads a bucket again when it has another version; so a list costs little where little
/// happens, and all nodes rank alike, to the last bit.
///
/// An event that is older than all that are remembered counts as counted, once any was forgotten.
pub struct RedisTrending {
    commands: Arc<RedisCommands>,
    weights: Weights,
    count: Script,
    changed: Script,
    whole: Script,
    turn: Script,
    /// What tells the versions that this node makes from others.
    name: String,
    versions: AtomicU64,
    windows: [Mutex<Read>; Window::ALL.len()],
    wholeness: Mutex<Wholeness>,
}

/// What was read of a window.
#[derive(Default)]
struct Read {
    buckets: BTreeMap<i64, Bucket>,
    /// The posts by rank, as of a bucket, until something changes.
    ranking: Option<(i64, Vec<Ranked>)>,
}

struct Bucket {
    version: String,
    counts: Vec<(PostId, Interaction, i64)>,
}

/// What the script returns: versions, and counts of what changed, both as pairs.
type Changed = (Vec<(i64, String)>, Vec<Vec<(String, i64)>>);

impl RedisTrending {
    /// Counts where `commands` lead; interactions add what `weights` say.
    pub fn new(commands: Arc<RedisCommands>, weights: Weights, entropy: &dyn Entropy) -> Self {
        Self {
            commands,
            weights,
            count: Script::new(include_str!("scripts/count.lua")),
            changed: Script::new(include_str!("scripts/changed.lua")),
            whole: Script::new(include_str!("scripts/whole.lua")),
            turn: Script::new(include_str!("scripts/turn.lua")),
            name: entropy.bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect(),
            versions: AtomicU64::new(0),
            windows: Default::default(),
            wholeness: Mutex::default(),
        }
    }

    fn key(&self, name: &str) -> String {
        self.commands.keys.apart(TAG, name)
    }

    fn bucket_prefix(&self, window: Window) -> String {
        self.key(&format!("{}:", window.as_str()))
    }

    async fn count_some(&self, tallies: &[(EventId, Tally)]) -> Result<(), StoreError> {
        let newest = tallies.iter().map(|(event, _)| millis_of(*event)).max().unwrap_or_default();
        let horizon = Timestamp::from_millis(newest).minus(REMEMBERED_FOR);
        let horizon = EventId::from_parts(horizon, [0; 10]).0.simple().to_string();
        let version = self.versions.fetch_add(1, atomic::Ordering::Relaxed);
        let mut arguments = vec![
            format!("{}-{version}", self.name),
            REMEMBERED.0.to_string(),
            REMEMBERED.1.to_string(),
            horizon,
            Window::ALL.len().to_string(),
        ];
        let mut keys = vec![self.key("seen"), self.key("forgotten")];
        keys.extend(Window::ALL.map(|window| self.key(&format!("{}:versions", window.as_str()))));
        let mut places = FxHashMap::default();
        for (event, tally) in tallies {
            arguments.push(event.0.simple().to_string());
            arguments.push(format!("{}:{}", tally.post, tally.interaction as usize));
            arguments.push(tally.amount.to_string());
            for window in Window::ALL {
                let bucket = window.bucket_of(tally.at);
                let key = format!("{}{bucket}", self.bucket_prefix(window));
                let place = *places.entry(key).or_insert_with_key(|key| {
                    keys.push(key.clone());
                    keys.len()
                });
                let ttl = window.length_millis() + 2 * window.bucket_millis();
                arguments.extend([place.to_string(), bucket.to_string(), ttl.to_string()]);
            }
        }
        let history: String = self.commands.run(&self.count, &keys, &arguments).await?;
        self.wholeness.lock().await.hear(&history);
        Ok(())
    }

    /// Runs the script that knows what declared the tallies whole.
    async fn ask_whole(&self, recount: &str, order: &[&str]) -> Result<bool, StoreError> {
        let keys = [self.key("whole"), self.key(&format!("recount:{recount}"))];
        let (history, declaration): (String, String) =
            self.commands.run(&self.whole, &keys, order).await?;
        Ok(self.wholeness.lock().await.judge(&history, &declaration))
    }

    /// Runs the script that knows who publishes a list.
    async fn ask_turn(&self, window: Window, order: &[&str]) -> Result<String, StoreError> {
        let keys = ["told", "pause"].map(|name| self.key(&format!("{}:{name}", window.as_str())));
        self.commands.run(&self.turn, &keys, order).await
    }

    /// Reads what changed of a window since it was last read.
    async fn refresh(
        &self,
        window: Window,
        current: i64,
        read: &mut Read,
    ) -> Result<(), StoreError> {
        let oldest = current - window.buckets() + 1;
        let mut arguments = vec![oldest.to_string(), self.bucket_prefix(window)];
        for (bucket, Bucket { version, .. }) in &read.buckets {
            arguments.extend([bucket.to_string(), version.clone()]);
        }
        let key = self.key(&format!("{}:versions", window.as_str()));
        let (versions, counts): Changed =
            self.commands.run(&self.changed, &[key], &arguments).await?;
        let still: FxHashSet<_> = versions.iter().map(|(bucket, _)| *bucket).collect();
        let before = read.buckets.len();
        read.buckets.retain(|bucket, _| still.contains(bucket));
        let mut is_new = read.buckets.len() != before;
        let mut counts = counts.into_iter();
        for (bucket, version) in versions {
            if read.buckets.get(&bucket).is_some_and(|known| known.version == version) {
                continue;
            }
            is_new = true;
            let counts = counts.next().unwrap_or_default();
            let counts = counts.into_iter().map(counted).collect::<Result<_, _>>()?;
            read.buckets.insert(bucket, Bucket { version, counts });
        }
        if is_new || read.ranking.as_ref().is_some_and(|(as_of, _)| *as_of != current) {
            read.ranking = None;
        }
        Ok(())
    }

    /// All posts by rank.
    fn rank(&self, window: Window, current: i64, read: &Read) -> Vec<Ranked> {
        let mut posts: FxHashMap<PostId, [Share; KINDS]> = FxHashMap::default();
        let nothing = || {
            Interaction::ALL.map(|it| Share { count: 0, weight: self.weights.of(it), score: 0.0 })
        };
        // From the oldest bucket on, so that the same counts make the same score to the last bit.
        for (bucket, Bucket { counts, .. }) in &read.buckets {
            let remains = window.remains(current - bucket);
            for (post, interaction, count) in counts {
                let share = &mut posts.entry(*post).or_insert_with(nothing)[*interaction as usize];
                share.count += count;
                // Fewer than 2^53 interactions: nothing is lost.
                share.score += *count as f64 * share.weight * remains;
            }
        }
        let mut ranked: Vec<_> = posts
            .into_iter()
            .map(|(post, shares)| {
                let score = shares.iter().map(|share| share.score).sum();
                let shares = Interaction::ALL.into_iter().zip(shares);
                let shares = shares.filter(|(_, share)| share.count != 0 || share.score != 0.0);
                Ranked { post, score, shares: shares.collect() }
            })
            .filter(|ranked| ranked.score > LEAST_SCORE)
            .collect();
        ranked.sort_unstable_by(highest_first);
        ranked
    }
}

/// Reads a field of a bucket.
fn counted((field, count): (String, i64)) -> Result<(PostId, Interaction, i64), StoreError> {
    let read = || {
        let (post, kind) = field.split_once(':')?;
        let interaction = *Interaction::ALL.get(kind.parse::<usize>().ok()?)?;
        Some((PostId::from_str(post).ok()?, interaction, count))
    };
    let cause = || format!("{field:?} is no kind of interaction with a post");
    read().ok_or_else(|| StoreError::Corrupt { store: "realtime", cause: cause() })
}

fn highest_first(a: &Ranked, b: &Ranked) -> Ordering {
    b.score.total_cmp(&a.score).then(b.post.cmp(&a.post))
}

/// When an event's id was minted.
fn millis_of(event: EventId) -> i64 {
    event.0.as_bytes()[..6].iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte))
}

#[async_trait]
impl Trending for RedisTrending {
    async fn is_whole(&self) -> Result<bool, StoreError> {
        self.ask_whole("", &["ask"]).await
    }

    async fn begin_recount(&self) -> Result<String, StoreError> {
        let count = self.versions.fetch_add(1, atomic::Ordering::Relaxed);
        let recount = format!("{}-{count}", self.name);
        let ttl = RECOUNT_TTL.as_millis().to_string();
        self.ask_whole(&recount, &["begin", &ttl]).await?;
        Ok(recount)
    }

    async fn declare_whole(&self, recount: &str) -> Result<bool, StoreError> {
        self.ask_whole(recount, &["declare", recount]).await
    }

    async fn turn(
        &self,
        window: Window,
        digest: &str,
        interval: Duration,
    ) -> Result<Turn, StoreError> {
        let pause = interval.as_millis().max(1).to_string();
        let answer = self.ask_turn(window, &[digest, &pause]).await?;
        Ok(match answer.as_str() {
            "granted" => Turn::Granted,
            "told" => Turn::Told,
            _ => Turn::Later,
        })
    }

    async fn note_told(&self, window: Window, digest: &str) -> Result<(), StoreError> {
        let ttl = TOLD_TTL.as_millis().to_string();
        self.ask_turn(window, &[digest, "told", &ttl]).await?;
        Ok(())
    }

    async fn count(&self, tallies: &[(EventId, Tally)]) -> Result<(), StoreError> {
        for some in tallies.chunks(TALLIES_MAX) {
            self.count_some(some).await?;
        }
        Ok(())
    }

    async fn ranked(
        &self,
        window: Window,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Ranked>, StoreError> {
        let place = Window::ALL.iter().position(|it| *it == window).unwrap_or_default();
        let mut read = self.windows[place].lock().await;
        let current = window.bucket_of(now);
        self.refresh(window, current, &mut read).await?;
        if read.ranking.is_none() {
            read.ranking = Some((current, self.rank(window, current, &read)));
        }
        let ranking = read.ranking.as_ref().map(|(_, ranking)| ranking.as_slice());
        Ok(ranking.unwrap_or_default().iter().take(limit).cloned().collect())
    }
}
