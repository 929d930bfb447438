//! What adapters of [`Trending`] are held to. A factory's adapter has the weights [`WEIGHTS`].

use std::time::Duration;

use crate::domain::ids::{EventId, PostId};
use crate::domain::time::Timestamp;
use crate::domain::trending::{Interaction, Ranked, Tally, Weights, Window};
use crate::ports::trending::{Trending, Turn};

use super::{Subject, post_id, race};

/// Makes a test of each promise.
macro_rules! trending_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::trending,
            $factory,
            [
                posts_are_ranked_by_what_happened_to_them,
                equal_scores_are_ordered_by_id_and_the_limit_holds,
                what_each_kind_adds_sums_to_the_score,
                an_event_is_counted_once,
                what_was_taken_back_leaves_nothing,
                a_score_halves_in_a_third_of_the_window_and_ends_with_it,
                a_list_holds_until_its_bucket_ends,
                each_window_counts_what_it_holds,
                the_order_of_tallies_does_not_matter,
                a_clock_that_is_ahead_adds_no_more_than_one_that_is_right,
                tallies_are_whole_once_declared_so,
                each_list_is_told_by_one,
            ]
        );
    };
}
pub(crate) use trending_contract;

type Factory = Subject<dyn Trending>;

pub async fn tallies_are_whole_once_declared_so(factory: impl AsyncFnOnce() -> Factory) {
    let trending = factory().await;
    assert!(!trending.port.is_whole().await.unwrap());
    let recount = trending.port.begin_recount().await.unwrap();
    assert!(!trending.port.is_whole().await.unwrap());
    assert!(trending.port.declare_whole(&recount).await.unwrap());
    assert!(trending.port.is_whole().await.unwrap());
    // Counting goes on, and what is there may be counted again.
    trending.port.count(&numbered(1, &[like(1, now())])).await.unwrap();
    let recount = trending.port.begin_recount().await.unwrap();
    assert!(trending.port.is_whole().await.unwrap());
    assert!(trending.port.declare_whole(&recount).await.unwrap());
}

pub async fn each_list_is_told_by_one(factory: impl AsyncFnOnce() -> Factory) {
    let trending = factory().await;
    let (port, long, short) = (trending.port, Duration::from_secs(600), Duration::from_millis(1));
    let [hour, day] = [Window::ALL[0], Window::ALL[1]];
    let turns = race(|_| {
        let port = port.clone();
        async move { port.turn(hour, "a", long).await.unwrap() }
    });
    let turns = turns.await;
    assert_eq!(turns.iter().filter(|turn| **turn == Turn::Granted).count(), 1, "{turns:?}");
    // Whoever had the turn may not have made it; but not at once.
    assert_eq!(port.turn(hour, "a", long).await.unwrap(), Turn::Later);
    port.note_told(hour, "a").await.unwrap();
    assert_eq!(port.turn(hour, "a", short).await.unwrap(), Turn::Told);
    assert_eq!(port.turn(hour, "b", long).await.unwrap(), Turn::Later);
    assert_eq!(port.turn(day, "a", short).await.unwrap(), Turn::Granted);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while port.turn(day, "b", short).await.unwrap() != Turn::Granted {
        assert!(tokio::time::Instant::now() < deadline, "the pause does not end");
    }
    port.note_told(day, "b").await.unwrap();
    assert_eq!(port.turn(day, "b", short).await.unwrap(), Turn::Told);
}

pub(crate) const WEIGHTS: Weights =
    Weights { view: 1.0, like: 3.0, comment: 5.0, share: 4.0, bookmark: 2.0 };

/// A second into a bucket of every window.
const NOW: i64 = 1_700_006_400_000 + 1_000;
const HOUR: i64 = 3_600_000;

/// The moment `millis` before the present.
fn ago(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW - millis)
}

fn now() -> Timestamp {
    ago(0)
}

fn tally(post: u8, interaction: Interaction, at: Timestamp, amount: i64) -> Tally {
    Tally { post: post_id(post), interaction, at, amount }
}

fn like(post: u8, at: Timestamp) -> Tally {
    tally(post, Interaction::Likes, at, 1)
}

/// Tallies with ids of their own, the first of which is number `first`.
pub(crate) fn numbered(first: u32, tallies: &[Tally]) -> Vec<(EventId, Tally)> {
    let id = |number: u32| {
        let mut random = [0; 10];
        random[6..].copy_from_slice(&number.to_be_bytes());
        EventId::from_parts(now(), random)
    };
    (first..).map(id).zip(tallies.iter().copied()).collect()
}

async fn count(port: &dyn Trending, first: u32, tallies: &[Tally]) {
    port.count(&numbered(first, tallies)).await.unwrap();
}

async fn ranked(port: &dyn Trending, window: Window) -> Vec<Ranked> {
    port.ranked(window, now(), 100).await.unwrap()
}

fn scores(ranked: &[Ranked]) -> Vec<(PostId, f64)> {
    ranked.iter().map(|ranked| (ranked.post, ranked.score)).collect()
}

fn is_about(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

pub async fn posts_are_ranked_by_what_happened_to_them(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    assert_eq!(ranked(&*port, Window::Day).await, []);
    let kinds = [(1, Interaction::Views), (2, Interaction::Likes), (3, Interaction::Comments)];
    let more = [(4, Interaction::Shares), (5, Interaction::Bookmarks)];
    let tallies = kinds.into_iter().chain(more).map(|(post, kind)| tally(post, kind, now(), 1));
    count(&*port, 0, &tallies.collect::<Vec<_>>()).await;
    let by_weight = [(3, 5.0), (4, 4.0), (2, 3.0), (5, 2.0), (1, 1.0)];
    let by_weight = by_weight.map(|(post, score)| (post_id(post), score));
    for window in Window::ALL {
        assert_eq!(scores(&ranked(&*port, window).await), by_weight, "{window:?}");
    }
}

pub async fn equal_scores_are_ordered_by_id_and_the_limit_holds(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    let mut tallies: Vec<_> = [2, 5, 1, 4, 3].map(|post| like(post, now())).into();
    tallies.push(like(2, now()));
    count(&*port, 0, &tallies).await;
    let order = [2, 5, 4, 3, 1].map(post_id);
    for limit in [0, 1, 2, 4, 5, 6, usize::MAX] {
        let listed = port.ranked(Window::Hour, now(), limit).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|ranked| ranked.post).collect();
        assert_eq!(listed, order[..limit.min(5)], "{limit}");
    }
}

pub async fn what_each_kind_adds_sums_to_the_score(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let tallies = [
        like(1, now()),
        like(1, ago(HOUR)),
        tally(1, Interaction::Comments, ago(5 * HOUR), 1),
        tally(1, Interaction::Views, ago(30 * HOUR), 1),
    ];
    count(&*port, 0, &tallies).await;
    let list = ranked(&*port, Window::Day).await;
    let [Ranked { score, shares, .. }] = list.as_slice() else { panic!("{list:?}") };
    let sum: f64 = shares.iter().map(|(_, share)| share.score).sum();
    assert!(is_about(*score, sum));
    let counted = shares.iter().map(|(kind, share)| (*kind, share.count, share.weight));
    let expected = [(Interaction::Likes, 2, 3.0), (Interaction::Comments, 1, 5.0)];
    assert_eq!(counted.collect::<Vec<_>>(), expected, "the view is older than a day");
    assert!(is_about(shares[0].1.score, 3.0 + 3.0 * 0.5_f64.powf(4.0 / 32.0)));
}

pub async fn an_event_is_counted_once(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let once = numbered(7, &[like(1, now())]);
    let twice = [once[0], once[0]];
    for tallies in [&twice[..], &once] {
        port.count(tallies).await.unwrap();
    }
    assert_eq!(scores(&ranked(&*port, Window::Day).await), [(post_id(1), 3.0)]);
}

pub async fn what_was_taken_back_leaves_nothing(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let at = ago(2 * HOUR + 7);
    let taken_back = tally(1, Interaction::Likes, at, -1);
    count(&*port, 0, &[like(1, at), like(2, at), like(2, now())]).await;
    count(&*port, 9, &[taken_back]).await;
    // What is taken back may come first.
    count(&*port, 10, &[tally(3, Interaction::Likes, at, -1)]).await;
    assert_eq!(ranked(&*port, Window::Day).await.len(), 1, "no score is below 0");
    count(&*port, 11, &[like(3, at)]).await;
    let list = ranked(&*port, Window::Day).await;
    let [only] = list.as_slice() else { panic!("{list:?}") };
    assert_eq!(only.post, post_id(2));
}

pub async fn a_score_halves_in_a_third_of_the_window_and_ends_with_it(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    count(&*port, 0, &[like(1, now())]).await;
    for window in Window::ALL {
        let (length, bucket) = (window.length_millis(), window.bucket_millis());
        let score_after = async |millis: i64| {
            let list = port.ranked(window, ago(-millis), 10).await.unwrap();
            list.first().map(|ranked| ranked.score)
        };
        for (age, score) in [(0, 3.0), (length / 3, 1.5), (2 * length / 3, 0.75)] {
            let found = score_after(age).await;
            assert!(found.is_some_and(|found| is_about(found, score)), "{window:?} {found:?}");
        }
        let last = score_after(length - bucket).await;
        let buckets = f64::from(i32::try_from(length / bucket).unwrap());
        let least = 3.0 * 0.5_f64.powf(3.0 * (buckets - 1.0) / buckets);
        assert!(last.is_some_and(|last| is_about(last, least)), "{window:?} {last:?}");
        assert_eq!(score_after(length).await, None, "{window:?}");
    }
}

pub async fn a_list_holds_until_its_bucket_ends(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    count(&*port, 0, &[like(1, ago(60_000)), like(2, ago(20 * 60_000))]).await;
    for window in Window::ALL {
        let first = ranked(&*port, window).await;
        let end = window.bucket_millis() - 1_000;
        assert_eq!(port.ranked(window, ago(1 - end), 100).await.unwrap(), first, "{window:?}");
        let next = port.ranked(window, ago(-end), 100).await.unwrap();
        assert_ne!(next, first, "{window:?}");
    }
}

pub async fn each_window_counts_what_it_holds(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let ages = [0, 30 * 60_000, 2 * HOUR, 23 * HOUR, 25 * HOUR, 6 * 24 * HOUR, 8 * 24 * HOUR];
    let tallies: Vec<_> = (1..).zip(ages).map(|(post, age)| like(post, ago(age))).collect();
    // Once before and once after each window was asked for.
    count(&*port, 0, &tallies[..4]).await;
    for window in Window::ALL {
        assert!(ranked(&*port, window).await.len() >= 2);
    }
    count(&*port, 4, &tallies[4..]).await;
    for (window, posts) in Window::ALL.into_iter().zip([2, 4, 6]) {
        assert_eq!(ranked(&*port, window).await.len(), posts, "{window:?}");
    }
}

pub async fn the_order_of_tallies_does_not_matter(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let ages = (0..40_i64).map(|n| n * 1_234_567);
    let kinds = Interaction::ALL.into_iter().cycle();
    let one: Vec<_> = ages.zip(kinds).map(|(age, kind)| tally(1, kind, ago(age), 1)).collect();
    let other: Vec<_> = one.iter().rev().map(|t| Tally { post: post_id(2), ..*t }).collect();
    count(&*port, 0, &one).await;
    count(&*port, 100, &other).await;
    for window in Window::ALL {
        let list = ranked(&*port, window).await;
        let [first, second] = list.as_slice() else { panic!("{list:?}") };
        assert_eq!(first.post, post_id(2), "to the last bit, or the order would be another");
        assert_eq!((first.score, &first.shares), (second.score, &second.shares));
    }
}

pub async fn a_clock_that_is_ahead_adds_no_more_than_one_that_is_right(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    count(&*port, 0, &[like(1, ago(-2 * HOUR)), like(2, now())]).await;
    let list = ranked(&*port, Window::Hour).await;
    assert_eq!(scores(&list), [(post_id(2), 3.0), (post_id(1), 3.0)]);
}
