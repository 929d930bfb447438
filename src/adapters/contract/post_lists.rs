//! What lists of posts are held to, whatever adapter of [`Content`](crate::ports::content::Content) makes them.

use crate::domain::ids::{PostId, UserId};
use crate::domain::post::{Post, PostStatus};
use crate::ports::content::{Kept, PostFilter, place_of};

use super::community::{Community, post_by};
use super::{at, post_id, posted};

/// Makes a test of each promise.
macro_rules! post_lists_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::post_lists,
            $factory,
            [
                lists_are_filtered_and_latest_first,
                a_list_is_read_in_parts_of_any_size,
                a_draft_moves_to_the_time_of_its_publication,
                tags_and_statuses_follow_every_change,
                the_home_feed_merges_those_whom_a_user_follows,
            ]
        );
    };
}
pub(crate) use post_lists_contract;

/// A draft, as its author first kept it at `time`.
fn draft_by(n: u8, author: i64, time: i64) -> Kept<Post> {
    let mut kept = post_by(n, author, time);
    kept.document.status = PostStatus::Draft;
    kept.document.published_at = None;
    Kept { event: posted(n.into(), &kept.document), ..kept }
}

/// Posts 1 to 8: odd ones of author 1, multiples of 4 drafts, from 5 tagged "late".
/// 2 and 3 were published at the same time, as were 6 and 7.
async fn eight_posts(community: &Community) {
    // In no order, as ids of several nodes come.
    for n in [5, 1, 8, 3, 2, 7, 4, 6] {
        let author = if n % 2 == 1 { 1 } else { 2 };
        let time = match n {
            3 => 200,
            7 => 600,
            _ => i64::from(n) * 100,
        };
        let mut kept = post_by(n, author, time);
        if n % 4 == 0 {
            kept = draft_by(n, author, time);
        }
        if n >= 5 {
            kept.document.tags.push("late".into());
        }
        community.create(&kept).await;
    }
}

/// All of a list, read in parts of `limit`.
async fn in_parts(community: &Community, filter: &PostFilter, limit: usize) -> Vec<PostId> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let part = community.content.posts(filter, after.as_ref(), limit).await.unwrap();
        assert!(part.len() <= limit);
        let Some(last) = part.last() else { return seen };
        after = Some(place_of(last));
        seen.extend(part.iter().map(|post| post.id));
    }
}

/// Lists, and the numbers of the posts that they hold.
fn lists() -> Vec<(PostFilter, Vec<u8>)> {
    let list = |tag: Option<&str>, author: Option<i64>, status, followed_by: Option<i64>| {
        let (author, followed_by) = (author.map(UserId), followed_by.map(UserId));
        PostFilter { tag: tag.map(str::to_owned), author, status, followed_by }
    };
    let (late, draft) = (Some("late"), Some(PostStatus::Draft));
    let published = Some(PostStatus::Published);
    vec![
        (list(None, None, None, None), vec![8, 7, 6, 5, 4, 3, 2, 1]),
        (list(None, None, published, None), vec![7, 6, 5, 3, 2, 1]),
        (list(None, None, draft, None), vec![8, 4]),
        (list(None, None, Some(PostStatus::Archived), None), vec![]),
        (list(late, None, None, None), vec![8, 7, 6, 5]),
        (list(late, None, published, None), vec![7, 6, 5]),
        (list(Some("none"), None, None, None), vec![]),
        (list(None, Some(1), None, None), vec![7, 5, 3, 1]),
        (list(None, Some(2), published, None), vec![6, 2]),
        (list(late, Some(2), published, None), vec![6]),
        (list(late, Some(2), None, None), vec![8, 6]),
        // User 7 follows author 2, user 8 both of them.
        (list(None, None, None, Some(7)), vec![8, 6, 4, 2]),
        (list(None, None, published, Some(7)), vec![6, 2]),
        (list(None, None, published, Some(8)), vec![7, 6, 5, 3, 2, 1]),
        (list(None, None, None, Some(9)), vec![]),
        (list(late, None, published, Some(7)), vec![6]),
        (list(None, Some(1), published, Some(7)), vec![]),
        (list(None, Some(2), draft, Some(8)), vec![8, 4]),
    ]
}

async fn with_readers(factory: impl AsyncFnOnce() -> Community) -> Community {
    let community = factory().await;
    eight_posts(&community).await;
    for (n, reader, author) in [(20, 7, 2), (21, 8, 1), (22, 8, 2), (23, 9, 2)] {
        community.follow(n, reader, author, 900, true).await;
    }
    community.follow(24, 9, 2, 901, false).await;
    community
}

pub async fn lists_are_filtered_and_latest_first(factory: impl AsyncFnOnce() -> Community) {
    let community = with_readers(factory).await;
    for (filter, expected) in lists() {
        let listed = community.content.posts(&filter, None, 99).await.unwrap();
        let ids: Vec<_> = listed.iter().map(|post| post.id).collect();
        let expected: Vec<_> = expected.into_iter().map(post_id).collect();
        assert_eq!(ids, expected, "{filter:?}");
        assert_eq!(community.content.posts(&filter, None, 0).await.unwrap(), []);
    }
}

pub async fn a_list_is_read_in_parts_of_any_size(factory: impl AsyncFnOnce() -> Community) {
    let community = with_readers(factory).await;
    for (filter, expected) in lists() {
        let expected: Vec<_> = expected.into_iter().map(post_id).collect();
        for limit in 1..=4 {
            assert_eq!(in_parts(&community, &filter, limit).await, expected, "{filter:?}");
        }
    }
}

pub async fn a_draft_moves_to_the_time_of_its_publication(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = with_readers(factory).await;
    let draft = community.content.kept_post(post_id(4)).await.unwrap().unwrap();
    community
        .change(&draft, 40, |kept| {
            kept.document.status = PostStatus::Published;
            kept.document.published_at = Some(at(650));
        })
        .await;
    let all = in_parts(&community, &PostFilter::default(), 3).await;
    assert_eq!(all, [8, 4, 7, 6, 5, 3, 2, 1].map(post_id));
    let tagged = PostFilter { tag: Some("rust".into()), ..PostFilter::default() };
    assert_eq!(in_parts(&community, &tagged, 3).await, all);
    let home = PostFilter { followed_by: Some(UserId(7)), ..PostFilter::default() };
    assert_eq!(in_parts(&community, &home, 3).await, [8, 4, 6, 2].map(post_id));
}

pub async fn tags_and_statuses_follow_every_change(factory: impl AsyncFnOnce() -> Community) {
    let community = with_readers(factory).await;
    let kept = community.content.kept_post(post_id(6)).await.unwrap().unwrap();
    let kept = community
        .change(&kept, 40, |kept| {
            kept.document.tags = vec!["rust".into(), "fresh".into(), "rust".into()];
        })
        .await;
    let tagged = async |tag: &str, status| {
        let tag = Some(tag.to_owned());
        in_parts(&community, &PostFilter { tag, status, ..PostFilter::default() }, 9).await
    };
    let published = Some(PostStatus::Published);
    assert_eq!(tagged("late", published).await, [7, 5].map(post_id));
    assert_eq!(tagged("fresh", published).await, [6].map(post_id));
    assert_eq!(tagged("rust", published).await, [7, 6, 5, 3, 2, 1].map(post_id));
    let archived =
        community.change(&kept, 41, |kept| kept.document.status = PostStatus::Archived).await;
    assert_eq!(tagged("fresh", published).await, []);
    assert_eq!(tagged("fresh", Some(PostStatus::Archived)).await, [6].map(post_id));
    assert_eq!(tagged("fresh", None).await, [6].map(post_id));
    community.change(&archived, 42, |kept| kept.document.status = PostStatus::Published).await;
    assert_eq!(tagged("fresh", published).await, [6].map(post_id));
}

pub async fn the_home_feed_merges_those_whom_a_user_follows(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    // Author 1 writes much, 2 little, 3 nothing; what they wrote before they were followed is there as well.
    for n in 1..=30 {
        community.create(&post_by(n, if n % 10 == 0 { 2 } else { 1 }, i64::from(n) / 4)).await;
    }
    for (n, author) in [(50, 1), (51, 2), (52, 3)] {
        community.follow(n, 7, author, 500, true).await;
    }
    let published = Some(PostStatus::Published);
    let home =
        PostFilter { followed_by: Some(UserId(7)), status: published, ..PostFilter::default() };
    let expected: Vec<_> = (1..=30).rev().map(post_id).collect();
    for limit in [1, 2, 7, 30, 99] {
        assert_eq!(in_parts(&community, &home, limit).await, expected);
    }
    community.follow(53, 7, 1, 600, false).await;
    assert_eq!(in_parts(&community, &home, 2).await, [30, 20, 10].map(post_id));
}
