//! What adapters of [`Marks`](crate::ports::marks::Marks) are held to.

use crate::domain::ids::UserId;
use crate::domain::mark::Mark;
use crate::domain::page::Cursor;
use crate::domain::post::PostCounts;
use crate::ports::marks::{FollowCounts, MarkChange, OwnMarks};

use super::community::{Community, key, mark, post_by};
use super::{at, event_id, post_id, race};

/// Makes a test of each promise.
macro_rules! marks_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::marks,
            $factory,
            [
                a_mark_is_read_back_on_and_off,
                a_mark_is_set_only_on_what_was_expected,
                of_racing_settings_one_succeeds,
                marks_are_set_together_and_each_by_itself,
                counts_follow_what_changes_and_nothing_else,
                shares_and_views_count_each_time,
                users_see_their_own_marks,
                follows_are_counted_on_both_sides,
                follows_are_listed_latest_first_with_their_beginnings,
                follows_that_began_at_the_same_time_are_in_the_order_of_the_numbers,
            ]
        );
    };
}
pub(crate) use marks_contract;

fn kinds() -> [Mark; 5] {
    let post = post_id(1);
    [
        Mark::Like(post),
        Mark::Bookmark(post),
        Mark::Share(post, event_id(77)),
        Mark::View(post, 472_222),
        Mark::Follow(UserId(5)),
    ]
}

pub async fn a_mark_is_read_back_on_and_off(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    community.create(&post_by(1, 42, 1)).await;
    for (n, kind) in (10..).step_by(10).zip(kinds()) {
        let key = key(7, kind);
        assert_eq!(community.marks.mark(&key).await.unwrap(), None);
        let on = mark(key, n, 5, true);
        assert!(community.marks.set_mark(&key, &on, None).await.unwrap());
        assert_eq!(community.marks.mark(&key).await.unwrap().as_ref(), Some(&on));
        let off = mark(key, n + 1, 6, false);
        assert!(community.marks.set_mark(&key, &off, Some(on.event.id)).await.unwrap());
        assert_eq!(community.marks.mark(&key).await.unwrap(), Some(off));
    }
    let other = key(8, kinds()[0]);
    assert_eq!(community.marks.mark(&other).await.unwrap(), None);
}

pub async fn a_mark_is_set_only_on_what_was_expected(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    for (n, kind) in (10..).step_by(10).zip(kinds()) {
        let key = key(7, kind);
        let (first, second) = (mark(key, n, 5, true), mark(key, n + 1, 6, false));
        let set = async |mark, expected| community.marks.set_mark(&key, mark, expected).await;
        assert!(!set(&first, Some(event_id(1))).await.unwrap());
        assert_eq!(community.marks.mark(&key).await.unwrap(), None);
        assert!(set(&first, None).await.unwrap());
        assert!(!set(&second, None).await.unwrap());
        assert!(!set(&second, Some(event_id(1))).await.unwrap());
        assert_eq!(community.marks.mark(&key).await.unwrap(), Some(first));
    }
    let counts = community.marks.follow_counts(&[UserId(5)]).await.unwrap();
    assert_eq!(counts[&UserId(5)], FollowCounts { followers: 1, following: 0 });
}

pub async fn of_racing_settings_one_succeeds(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    community.create(&post_by(1, 42, 1)).await;
    for (first, kind) in (100..).step_by(100).zip(kinds()) {
        let key = key(7, kind);
        let mut expected = None;
        for round in [0, 20, 40] {
            let racers = race(|n| {
                let marks = community.marks.clone();
                let mark = mark(key, first + round + u16::from(n), 5, round != 20);
                async move { marks.set_mark(&key, &mark, expected).await.unwrap() }
            });
            let won = racers.await;
            assert_eq!(won.iter().filter(|won| **won).count(), 1, "{kind:?}");
            let winner = won.iter().position(|won| *won).unwrap();
            expected = Some(event_id(first + round + u16::try_from(winner).unwrap()));
            let stored = community.marks.mark(&key).await.unwrap().unwrap();
            assert_eq!((Some(stored.event.id), stored.on), (expected, round != 20));
        }
    }
    let counts = community.content.counts(&[post_id(1)]).await.unwrap();
    let once = PostCounts { likes: 1, comments: 0, views: 1, shares: 1, bookmarks: 1 };
    assert_eq!(counts[&post_id(1)], once);
    let follows = community.marks.follow_counts(&[UserId(5), UserId(7)]).await.unwrap();
    assert_eq!(follows[&UserId(5)], FollowCounts { followers: 1, following: 0 });
    assert_eq!(follows[&UserId(7)], FollowCounts { followers: 0, following: 1 });
}

pub async fn marks_are_set_together_and_each_by_itself(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    community.create(&post_by(1, 42, 1)).await;
    community.create(&post_by(2, 42, 1)).await;
    let liked = |user, post| key(user, Mark::Like(post_id(post)));
    let change = |key, n, on, expected: Option<u16>| MarkChange {
        key,
        mark: mark(key, n, 5, on),
        expected: expected.map(event_id),
    };
    let set = async |changes: &[MarkChange]| community.marks.set_marks(changes).await.unwrap();
    assert!(set(&[]).await.is_empty());
    let first = [
        change(liked(1, 1), 10, true, None),
        change(liked(2, 1), 11, true, None),
        change(liked(2, 2), 12, true, None),
        change(key(2, Mark::Bookmark(post_id(1))), 13, true, None),
        change(key(2, Mark::Follow(UserId(5))), 14, true, None),
        // Nobody liked that yet, and of two one is first.
        change(liked(3, 1), 15, true, Some(9)),
        change(liked(1, 1), 16, true, None),
    ];
    assert_eq!(set(&first).await, [true, true, true, true, true, false, false]);
    let second = [
        change(liked(1, 1), 20, false, Some(10)),
        change(liked(2, 1), 21, false, Some(9)),
        change(liked(2, 2), 22, true, Some(12)),
        change(liked(3, 1), 23, true, None),
        change(key(2, Mark::Bookmark(post_id(1))), 24, false, Some(13)),
        change(key(2, Mark::Follow(UserId(5))), 25, false, Some(14)),
        change(liked(4, 2), 26, true, None),
        change(key(4, Mark::View(post_id(2), 7)), 27, true, None),
        change(liked(1, 1), 28, true, Some(10)),
    ];
    assert_eq!(set(&second).await, [true, false, true, true, true, true, true, true, false]);
    let keys: Vec<_> = first.iter().chain(&second).map(|change| change.key).collect();
    let found = community.marks.marks(&keys).await.unwrap();
    assert_eq!(found.len(), 8);
    for one in second.iter().filter(|one| ![21, 28].map(event_id).contains(&one.mark.event.id)) {
        assert_eq!(found[&one.key], one.mark);
    }
    assert_eq!(found[&liked(2, 1)], first[1].mark);
    assert!(community.marks.marks(&[liked(9, 9)]).await.unwrap().is_empty());
    let counts = community.content.counts(&[1, 2].map(post_id)).await.unwrap();
    assert_eq!(counts[&post_id(1)], PostCounts { likes: 2, ..PostCounts::default() });
    assert_eq!(counts[&post_id(2)], PostCounts { likes: 2, views: 1, ..PostCounts::default() });
    let follows = community.marks.follow_counts(&[UserId(5)]).await.unwrap();
    assert!(follows.is_empty());
}

pub async fn counts_follow_what_changes_and_nothing_else(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    let post = post_by(1, 42, 1);
    community.create(&post).await;
    let likes = async || community.content.counts(&[post_id(1)]).await.unwrap()[&post_id(1)].likes;
    let steps = [(true, 1), (true, 1), (false, 0), (false, 0), (true, 1), (false, 0)];
    for (n, (on, expected)) in (10..).zip(steps) {
        community.set(key(7, Mark::Like(post_id(1))), n, 5, on).await;
        assert_eq!(likes().await, expected);
    }
    // One that is off from the beginning, and then on.
    community.set(key(8, Mark::Like(post_id(1))), 30, 5, false).await;
    assert_eq!(likes().await, 0);
    community.set(key(8, Mark::Like(post_id(1))), 31, 5, true).await;
    community.set(key(7, Mark::Like(post_id(1))), 32, 5, true).await;
    community.set(key(7, Mark::Like(post_id(2))), 33, 5, true).await;
    assert_eq!(likes().await, 2);
    // Neither an edit nor a removal changes them.
    let edited = community.change(&post, 40, |post| post.document.counts.likes = 99).await;
    assert_eq!(community.content.post(post_id(1)).await.unwrap().unwrap().counts.likes, 2);
    community.change(&edited, 41, |post| post.removed = true).await;
    community.set(key(7, Mark::Like(post_id(1))), 42, 5, false).await;
    assert_eq!(likes().await, 1);
    let unknown = community.content.counts(&[post_id(9)]).await.unwrap();
    assert!(unknown.is_empty());
}

pub async fn shares_and_views_count_each_time(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    community.create(&post_by(1, 42, 1)).await;
    let post = post_id(1);
    for n in 10..13 {
        community.set(key(7, Mark::Share(post, event_id(n))), n, 5, true).await;
        community.set(key(7, Mark::View(post, n.into())), n + 10, 5, true).await;
        community.set(key(i64::from(n), Mark::View(post, 10)), n + 20, 5, true).await;
        community.set(key(i64::from(n), Mark::Bookmark(post)), n + 30, 5, true).await;
    }
    let counts = PostCounts { likes: 0, comments: 0, views: 6, shares: 3, bookmarks: 3 };
    assert_eq!(community.content.counts(&[post]).await.unwrap()[&post], counts);
    assert_eq!(community.content.post(post).await.unwrap().unwrap().counts, counts);
    let listed = community.content.published(&[post]).await.unwrap();
    assert_eq!(listed[0].counts, counts);
    let listed = community.content.posts(&Default::default(), None, 9).await.unwrap();
    assert_eq!(listed[0].counts, counts);
}

pub async fn users_see_their_own_marks(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    community.set(key(7, Mark::Like(post_id(1))), 10, 5, true).await;
    community.set(key(7, Mark::Bookmark(post_id(1))), 11, 5, true).await;
    community.set(key(7, Mark::Bookmark(post_id(2))), 12, 5, true).await;
    community.set(key(7, Mark::Like(post_id(3))), 13, 5, true).await;
    community.set(key(7, Mark::Like(post_id(3))), 14, 5, false).await;
    community.set(key(8, Mark::Like(post_id(4))), 15, 5, true).await;
    community.set(key(7, Mark::View(post_id(4), 1)), 16, 5, true).await;
    community.set(key(7, Mark::Like(post_id(5))), 17, 5, true).await;
    let wanted = [1, 2, 3, 4].map(post_id);
    let own = community.marks.own_marks(UserId(7), &wanted).await.unwrap();
    assert_eq!(own.len(), 2);
    assert_eq!(own[&post_id(1)], OwnMarks { liked: true, bookmarked: true });
    assert_eq!(own[&post_id(2)], OwnMarks { liked: false, bookmarked: true });
    assert!(community.marks.own_marks(UserId(7), &[]).await.unwrap().is_empty());
}

pub async fn follows_are_counted_on_both_sides(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    let counts = async |user| {
        let counts = community.marks.follow_counts(&[UserId(user), UserId(99)]).await.unwrap();
        assert!(!counts.contains_key(&UserId(99)), "nobody knows them");
        counts.get(&UserId(user)).map(|counts| (counts.followers, counts.following))
    };
    community.follow(10, 1, 5, 10, true).await;
    community.follow(11, 2, 5, 10, true).await;
    community.follow(12, 5, 1, 10, true).await;
    community.follow(13, 1, 5, 11, true).await;
    assert_eq!((counts(5).await, counts(1).await), (Some((2, 1)), Some((1, 1))));
    community.follow(14, 1, 5, 12, false).await;
    community.follow(15, 1, 5, 13, false).await;
    assert_eq!((counts(5).await, counts(1).await), (Some((1, 1)), Some((1, 0))));
    community.follow(16, 2, 5, 14, false).await;
    assert_eq!((counts(5).await, counts(2).await), (Some((0, 1)), None));
}

pub async fn follows_are_listed_latest_first_with_their_beginnings(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    for (n, user, time) in [(10, 3, 30), (11, 1, 10), (12, 2, 20), (13, 4, 40)] {
        community.follow(n, user, 5, time, true).await;
        community.follow(n + 10, 5, user, time, true).await;
    }
    community.follow(30, 4, 5, 50, false).await;
    community.follow(31, 5, 4, 50, false).await;
    // One that goes on keeps its beginning; one that begins again has a new one.
    community.follow(32, 1, 5, 60, true).await;
    community.follow(33, 2, 5, 70, false).await;
    community.follow(34, 2, 5, 80, true).await;
    let entry = |user, time| (UserId(user), at(time));
    let followers = community.marks.followers(UserId(5), None, 9).await.unwrap();
    assert_eq!(followers, [entry(2, 80), entry(3, 30), entry(1, 10)]);
    let following = community.marks.following(UserId(5), None, 9).await.unwrap();
    assert_eq!(following, [entry(3, 30), entry(2, 20), entry(1, 10)]);
    let mut all = community.marks.followed_by(UserId(5)).await.unwrap();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3].map(UserId));
    assert_eq!(community.marks.followed_by(UserId(9)).await.unwrap(), []);
    assert_eq!(community.marks.followers(UserId(5), None, 0).await.unwrap(), []);
}

pub async fn follows_that_began_at_the_same_time_are_in_the_order_of_the_numbers(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    // As texts they would be in another order.
    let users = [9, 10, 100, 101, 2];
    for (n, user) in (10..).zip(users) {
        community.follow(n, user, 5, if user == 2 { 20 } else { 10 }, true).await;
        community.follow(n + 10, 5, user, if user == 2 { 20 } else { 10 }, true).await;
    }
    for forward in [true, false] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let (marks, after_ref) = (&community.marks, after.as_ref());
            let page = match forward {
                true => marks.followers(UserId(5), after_ref, 2).await.unwrap(),
                false => marks.following(UserId(5), after_ref, 2).await.unwrap(),
            };
            let Some((user, time)) = page.last() else { break };
            after = Some(Cursor { at: *time, id: user.to_string() });
            seen.extend(page.iter().map(|(user, _)| user.0));
        }
        assert_eq!(seen, [2, 101, 100, 10, 9]);
    }
}
