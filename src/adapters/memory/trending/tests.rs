//! The contract, and that no order of tallies and no question meanwhile changes a list.

use std::sync::Arc;

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::adapters::contract::trending::{WEIGHTS, numbered};
use crate::adapters::contract::{Subject, post_id};

async fn fresh() -> Subject<dyn Trending> {
    Subject { port: Arc::new(MemoryTrending::new(WEIGHTS)), keep: Box::new(()) }
}

crate::adapters::contract::trending::trending_contract!(fresh);

mod cleared {
    use super::*;
    use crate::adapters::contract::audit_trending::ClearedTrending;

    async fn fresh() -> ClearedTrending {
        let trending = Arc::new(MemoryTrending::new(WEIGHTS));
        ClearedTrending { trending: trending.clone(), tallies: trending, keep: Box::new(()) }
    }

    crate::adapters::contract::audit_trending::audit_trending_contract!(fresh);
}

/// When all of it happens ends, in milliseconds since the epoch.
const END: i64 = 1_700_000_000_000;

/// What the port says a score is, computed the slow way.
fn expected(window: Window, now: i64, tallies: &[Tally]) -> Vec<(PostId, f64)> {
    let bucket = |millis: i64| millis.div_euclid(window.bucket_millis());
    let buckets = window.length_millis() / window.bucket_millis();
    let mut scores: FxHashMap<PostId, f64> = FxHashMap::default();
    for tally in tallies {
        let age = bucket(now) - bucket(tally.at.as_millis());
        if age < buckets {
            let remains = 0.5_f64.powf(3.0 * age.max(0) as f64 / buckets as f64);
            *scores.entry(tally.post).or_default() +=
                WEIGHTS.of(tally.interaction) * tally.amount as f64 * remains;
        }
    }
    let mut scores: Vec<_> = scores.into_iter().filter(|(_, score)| *score > 1e-7).collect();
    scores.sort_by_key(|(post, _)| *post);
    scores
}

fn count(trending: &MemoryTrending, tallies: &[(EventId, Tally)]) {
    trending.count(tallies).now_or_never().unwrap().unwrap();
}

fn ranked(trending: &MemoryTrending, window: Window, now: i64) -> Vec<Ranked> {
    let now = Timestamp::from_millis(now);
    trending.ranked(window, now, 100).now_or_never().unwrap().unwrap()
}

/// Interactions of up to eight days; some are taken back.
fn history() -> impl Strategy<Value = Vec<Tally>> {
    let one = (0..6_u8, 0..KINDS, 0..8 * 24 * 3_600_000_i64, any::<bool>());
    proptest::collection::vec(one, 0..60).prop_map(|history| {
        let tallies = history.into_iter().flat_map(|(post, kind, age, taken_back)| {
            let (interaction, at) = (Interaction::ALL[kind], Timestamp::from_millis(END - age));
            let done = Tally { post: post_id(post), interaction, at, amount: 1 };
            let undone = Tally { amount: -1, ..done };
            [Some(done), taken_back.then_some(undone)].into_iter().flatten()
        });
        tallies.collect()
    })
}

proptest! {
    #[test]
    fn a_list_is_what_the_tallies_make_it_in_any_order(
        (tallies, shuffled) in history().prop_flat_map(|tallies| {
            let numbered = numbered(0, &tallies);
            (Just(numbered.clone()), Just(numbered).prop_shuffle())
        }),
        later in 0..3 * 24 * 3_600_000_i64,
    ) {
        let (one, other) = (MemoryTrending::new(WEIGHTS), MemoryTrending::new(WEIGHTS));
        count(&one, &tallies);
        let (front, back) = shuffled.split_at(shuffled.len() / 2);
        count(&other, front);
        // Questions in between change nothing; a repeat does not count.
        for window in Window::ALL {
            ranked(&other, window, END);
        }
        count(&other, back);
        count(&other, front);
        let bare: Vec<_> = tallies.iter().map(|(_, tally)| *tally).collect();
        for (window, now) in Window::ALL.into_iter().flat_map(|w| [(w, END), (w, END + later)]) {
            let list = ranked(&one, window, now);
            prop_assert_eq!(&list, &ranked(&other, window, now));
            let mut found: Vec<_> = list.iter().map(|r| (r.post, r.score)).collect();
            found.sort_by_key(|(post, _)| *post);
            let expected = expected(window, now, &bare);
            prop_assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert_eq!(found.0, expected.0);
                prop_assert!((found.1 - expected.1).abs() < 1e-6);
            }
            for ranked in &list {
                let sum: f64 = ranked.shares.iter().map(|(_, share)| share.score).sum();
                prop_assert!((sum - ranked.score).abs() < 1e-9);
            }
        }
    }
}

#[test]
fn a_look_through_a_long_log_does_not_count_again_what_was_relayed_before_it() {
    let trending = MemoryTrending::new(WEIGHTS);
    let now = Timestamp::from_millis(END);
    let like = Tally { post: post_id(1), interaction: Interaction::Likes, at: now, amount: 1 };
    let many = numbered(0, &vec![like; REMEMBERED_MAX + 2]);
    count(&trending, &many[REMEMBERED_MAX + 1..]);
    count(&trending, &many);
    let list = ranked(&trending, Window::Hour, END);
    assert_eq!(list[0].shares[0].1.count, REMEMBERED_MAX as i64 + 2);
}

#[test]
fn what_is_too_old_is_forgotten() {
    let trending = MemoryTrending::new(WEIGHTS);
    let at = Timestamp::from_millis(END);
    let tallies: Vec<_> = (0..50)
        .map(|post| Tally { post: post_id(post), interaction: Interaction::Views, at, amount: 1 })
        .collect();
    count(&trending, &numbered(0, &tallies));
    for (window, left) in Window::ALL.into_iter().zip([0, 50, 50]) {
        ranked(&trending, window, END + 2 * 3_600_000);
        let state = trending.state();
        let tallies = state.windows.iter().find(|tallies| tallies.window == window).unwrap();
        assert_eq!(tallies.posts.len(), left);
        drop(state);
    }
    count(&trending, &numbered(100, &tallies));
    assert_eq!(trending.state().windows[0].posts.len(), 0, "late ones are not kept either");
}
