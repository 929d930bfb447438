//! Trending within one node: whole counts by post and bucket, in memory.

mod clear;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::domain::ids::{EventId, PostId};
use crate::domain::time::Timestamp;
use crate::domain::trending::{Interaction, Ranked, Share, Tally, Weights, Window};
use crate::ports::StoreError;
use crate::ports::trending::{Trending, Turn};

/// How many events are remembered: those with the latest ids, so that a look
/// through the whole log cannot push out what was relayed just before.
const REMEMBERED_MAX: usize = 200_000;
/// Scores below this are what is left of rounding.
const LEAST_SCORE: f64 = 1e-9;
const KINDS: usize = Interaction::ALL.len();

/// Counts in whole numbers, so that the order in which tallies come never
/// matters and what is taken back leaves nothing. A score is computed anew for
/// posts that were tallied since the last list, and for all when a bucket ends;
/// to rank posts that nothing happened to is a walk over their scores.
pub struct MemoryTrending {
    weights: Weights,
    state: Mutex<State>,
}

struct State {
    is_whole: bool,
    /// The lists that were last told, by window.
    told: [String; Window::ALL.len()],
    /// When somebody's turn last was, by window.
    turns: [Option<Instant>; Window::ALL.len()],
    remembered: BTreeSet<EventId>,
    windows: [Tallies; Window::ALL.len()],
}

/// The tallies of one window.
struct Tallies {
    window: Window,
    /// What remains of an interaction, by the age of its bucket.
    remains: Vec<f64>,
    posts: FxHashMap<PostId, Standing>,
    /// Posts that were tallied since they were last scored.
    stale: Vec<PostId>,
    /// The bucket that was the current one when posts were last ranked.
    current: i64,
}

/// What happened to one post.
#[derive(Default)]
struct Standing {
    /// By bucket, oldest first; narrow, for a busy week holds many.
    counts: Vec<(i64, [i32; KINDS])>,
    /// As of the current bucket, unless it is stale.
    score: f64,
    is_stale: bool,
}

impl MemoryTrending {
    /// Counts nothing yet; interactions will add what `weights` say.
    pub fn new(weights: Weights) -> Self {
        let state = State {
            is_whole: false,
            told: Default::default(),
            turns: Default::default(),
            remembered: BTreeSet::new(),
            windows: Window::ALL.map(Tallies::of_window),
        };
        Self { weights, state: Mutex::new(state) }
    }

    /// Nothing that is done under the lock panics half way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, event: EventId, tally: &Tally) {
        if !self.remembered.insert(event) {
            return;
        }
        if self.remembered.len() > REMEMBERED_MAX {
            self.remembered.pop_first();
        }
        for tallies in &mut self.windows {
            tallies.count(tally);
        }
    }
}

impl Tallies {
    fn of_window(window: Window) -> Self {
        Self {
            window,
            remains: (0..window.buckets()).map(|age| window.remains(age)).collect(),
            posts: FxHashMap::default(),
            stale: Vec::new(),
            current: i64::MIN,
        }
    }

    fn count(&mut self, tally: &Tally) {
        let bucket = self.window.bucket_of(tally.at);
        if self.current.saturating_sub(bucket) >= self.window.buckets() {
            return;
        }
        let amount = i32::try_from(tally.amount).unwrap_or(0);
        let standing = self.posts.entry(tally.post).or_default();
        let counts = &mut standing.counts;
        // Nearly always the last one.
        let after = counts.iter().rposition(|(other, _)| *other <= bucket).map_or(0, |at| at + 1);
        match after.checked_sub(1).filter(|at| counts[*at].0 == bucket) {
            Some(at) => counts[at].1[tally.interaction as usize] += amount,
            None => {
                let mut fresh = [0; KINDS];
                fresh[tally.interaction as usize] = amount;
                counts.insert(after, (bucket, fresh));
            }
        }
        if !std::mem::replace(&mut standing.is_stale, true) {
            self.stale.push(tally.post);
        }
    }

    /// Brings all scores up to `now`.
    fn refresh(&mut self, now: Timestamp, weights: &Weights) {
        let current = self.window.bucket_of(now);
        let Self { remains, posts, stale, .. } = self;
        if current != self.current {
            self.current = current;
            let oldest = current - self.window.buckets() + 1;
            posts.retain(|_, standing| {
                standing.counts.retain(|(bucket, counts)| {
                    *bucket >= oldest && counts.iter().any(|count| *count != 0)
                });
                standing.is_stale = false;
                standing.score = standing.score_at(current, remains, weights);
                !standing.counts.is_empty()
            });
            stale.clear();
        }
        for post in stale.drain(..) {
            if let Some(standing) = posts.get_mut(&post) {
                standing.is_stale = false;
                standing.score = standing.score_at(current, remains, weights);
            }
        }
    }

    /// The highest scores, in order.
    fn top(&self, limit: usize) -> Vec<(f64, PostId)> {
        let scored = self.posts.iter().filter(|(_, standing)| standing.score > LEAST_SCORE);
        let mut top: Vec<_> = scored.map(|(post, standing)| (standing.score, *post)).collect();
        if limit < top.len() {
            top.select_nth_unstable_by(limit, highest_first);
            top.truncate(limit);
        }
        top.sort_unstable_by(highest_first);
        top
    }

    fn ranked(&mut self, now: Timestamp, limit: usize, weights: &Weights) -> Vec<Ranked> {
        self.refresh(now, weights);
        let explained = |(score, post): (f64, PostId)| {
            let shares = self.posts[&post].shares_at(self.current, &self.remains, weights);
            let shares = Interaction::ALL.into_iter().zip(shares);
            let shares = shares.filter(|(_, share)| share.count != 0 || share.score != 0.0);
            Ranked { post, score, shares: shares.collect() }
        };
        self.top(limit).into_iter().map(explained).collect()
    }
}

impl Standing {
    /// What each kind of interaction adds, always summed from the oldest bucket on, so that the
    /// same counts make the same score to the last bit.
    fn shares_at(&self, current: i64, remains: &[f64], weights: &Weights) -> [Share; KINDS] {
        let mut shares =
            Interaction::ALL.map(|kind| Share { count: 0, weight: weights.of(kind), score: 0.0 });
        for (bucket, counts) in &self.counts {
            let age = usize::try_from(current - bucket).unwrap_or(0);
            let Some(remains) = remains.get(age) else { continue };
            // Without a branch on zeros, which nothing could predict: this is where the time goes.
            for (share, count) in shares.iter_mut().zip(counts) {
                share.count += i64::from(*count);
                share.score += f64::from(*count) * share.weight * remains;
            }
        }
        shares
    }

    fn score_at(&self, current: i64, remains: &[f64], weights: &Weights) -> f64 {
        self.shares_at(current, remains, weights).iter().map(|share| share.score).sum()
    }
}

fn highest_first(a: &(f64, PostId), b: &(f64, PostId)) -> Ordering {
    b.0.total_cmp(&a.0).then(b.1.cmp(&a.1))
}

#[async_trait]
impl Trending for MemoryTrending {
    async fn is_whole(&self) -> Result<bool, StoreError> {
        Ok(self.state().is_whole)
    }

    async fn begin_recount(&self) -> Result<String, StoreError> {
        Ok(String::new())
    }

    async fn declare_whole(&self, _recount: &str) -> Result<bool, StoreError> {
        // What this process counted is lost with this process only.
        self.state().is_whole = true;
        Ok(true)
    }

    async fn turn(
        &self,
        window: Window,
        digest: &str,
        interval: Duration,
    ) -> Result<Turn, StoreError> {
        let (now, mut state) = (Instant::now(), self.state());
        if state.told[window as usize] == digest {
            return Ok(Turn::Told);
        }
        let last = &mut state.turns[window as usize];
        if last.is_some_and(|last| now.duration_since(last) < interval) {
            return Ok(Turn::Later);
        }
        *last = Some(now);
        Ok(Turn::Granted)
    }

    async fn note_told(&self, window: Window, digest: &str) -> Result<(), StoreError> {
        self.state().told[window as usize] = digest.to_owned();
        Ok(())
    }

    async fn count(&self, tallies: &[(EventId, Tally)]) -> Result<(), StoreError> {
        let mut state = self.state();
        for (event, tally) in tallies {
            state.count(*event, tally);
        }
        Ok(())
    }

    async fn ranked(
        &self,
        window: Window,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Ranked>, StoreError> {
        let mut state = self.state();
        let tallies = state.windows.iter_mut().find(|tallies| tallies.window == window);
        Ok(tallies.map(|tallies| tallies.ranked(now, limit, &self.weights)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
