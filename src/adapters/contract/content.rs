//! What adapters of [`Content`] are held to.

use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::post::{Post, PostStatus};
use crate::ports::content::{Content, CreatePostError, PostFilter};

use super::{Subject, event_id, post, post_id, posted, race};

/// Makes a test of each promise.
macro_rules! content_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::content,
            $factory,
            [
                a_created_post_is_read_back_as_it_was,
                creating_again_returns_what_is_stored,
                a_taken_slug_writes_nothing,
                of_racing_creations_one_is_stored,
                lists_are_filtered_and_newest_first,
                embedded_events_come_by_id_between_two_others,
            ]
        );
    };
}
pub(crate) use content_contract;

type Factory = Subject<dyn Content>;

pub async fn a_created_post_is_read_back_as_it_was(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let mut bare = post(2);
    bare.tags.clear();
    bare.metadata = None;
    bare.status = PostStatus::Draft;
    bare.published_at = None;
    for (n, post) in [(1, post(1)), (2, bare)] {
        let event = posted(n, &post);
        let created = port.create_post(&post, &event).await.unwrap();
        assert_eq!(created, (post.clone(), event));
        assert_eq!(port.post(post.id).await.unwrap(), Some(post));
    }
    assert_eq!(port.post(post_id(3)).await.unwrap(), None);
}

pub async fn creating_again_returns_what_is_stored(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let first = post(1);
    let event = posted(1, &first);
    port.create_post(&first, &event).await.unwrap();
    let mut second = post(1);
    second.title = "Another".into();
    second.tags = vec!["go".into()];
    for slug in ["post-1", "post-1-again"] {
        second.slug = slug.into();
        let retried = port.create_post(&second, &posted(2, &second)).await;
        assert_eq!(retried.unwrap(), (first.clone(), event.clone()));
    }
    assert_eq!(port.post(first.id).await.unwrap(), Some(first));
    let go = PostFilter { tag: Some("go".into()), ..PostFilter::default() };
    assert_eq!(port.posts(&go, None, 9).await.unwrap(), []);
    let embedded = port.embedded_events(event_id(0), event_id(9), 9).await;
    assert_eq!(embedded.unwrap(), [event]);
}

pub async fn a_taken_slug_writes_nothing(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let first = post(1);
    port.create_post(&first, &posted(1, &first)).await.unwrap();
    let mut second = post(2);
    second.slug = first.slug.clone();
    let refused = port.create_post(&second, &posted(2, &second)).await;
    assert!(matches!(refused, Err(CreatePostError::SlugTaken)));
    assert_eq!(port.post(second.id).await.unwrap(), None);
    let all = port.posts(&PostFilter::default(), None, 9).await.unwrap();
    assert_eq!(all, [first]);
    second.slug = "free".into();
    let event = posted(2, &second);
    port.create_post(&second, &event).await.unwrap();
    let embedded = port.embedded_events(event_id(1), event_id(9), 9).await;
    assert_eq!(embedded.unwrap(), [event]);
}

pub async fn of_racing_creations_one_is_stored(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let retries = race(|n| {
        let port = port.clone();
        async move {
            let mut post = post(1);
            post.title = n.to_string();
            let event = posted(n.into(), &post);
            port.create_post(&post, &event).await.unwrap()
        }
    });
    let results = retries.await;
    assert!(results.iter().all(|result| *result == results[0]));
    let same_slug = race(|n| {
        let port = port.clone();
        async move {
            let mut post = post(100 + n);
            post.slug = "same".into();
            port.create_post(&post, &posted(100 + u16::from(n), &post)).await
        }
    });
    let results = same_slug.await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    let taken = |r: &&Result<_, _>| matches!(r, Err(CreatePostError::SlugTaken));
    assert_eq!(results.iter().filter(taken).count(), results.len() - 1);
}

/// Posts 1 to 8: odd ones of author 1, multiples of 4 drafts, from 5 tagged "late".
async fn eight_posts(port: &dyn Content) {
    // In no order, as ids of several nodes come.
    for n in [5, 1, 8, 3, 2, 7, 4, 6] {
        let mut post = post(n);
        post.author.id = UserId(if n % 2 == 1 { 1 } else { 2 });
        if n % 4 == 0 {
            post.status = PostStatus::Draft;
        }
        if n >= 5 {
            post.tags.push("late".into());
        }
        port.create_post(&post, &posted(n.into(), &post)).await.unwrap();
    }
}

pub async fn lists_are_filtered_and_newest_first(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    eight_posts(&*port).await;
    let list = async |tag: Option<&str>, author: Option<i64>, status, before: Option<u8>, limit| {
        let filter = PostFilter { tag: tag.map(str::to_owned), author: author.map(UserId), status };
        let found = port.posts(&filter, before.map(post_id), limit).await;
        let ids = |post: &Post| -> PostId { post.id };
        found.unwrap().iter().map(ids).collect::<Vec<_>>()
    };
    let posts = |numbers: &[u8]| -> Vec<PostId> { numbers.iter().map(|n| post_id(*n)).collect() };
    let (late, draft) = (Some("late"), Some(PostStatus::Draft));
    let published = Some(PostStatus::Published);
    let all = list(None, None, None, None, 99).await;
    assert_eq!(all, posts(&[8, 7, 6, 5, 4, 3, 2, 1]));
    assert_eq!(list(None, None, None, None, 3).await, posts(&[8, 7, 6]));
    assert_eq!(list(None, None, None, Some(6), 3).await, posts(&[5, 4, 3]));
    assert_eq!(list(None, None, None, Some(1), 3).await, []);
    assert_eq!(list(None, None, None, None, 0).await, []);
    assert_eq!(list(late, None, None, None, 9).await, posts(&[8, 7, 6, 5]));
    assert_eq!(list(late, None, None, Some(7), 1).await, posts(&[6]));
    assert_eq!(list(Some("none"), None, None, None, 9).await, []);
    let odd = list(None, Some(1), None, Some(7), 9).await;
    assert_eq!(odd, posts(&[5, 3, 1]));
    assert_eq!(list(None, None, draft, None, 9).await, posts(&[8, 4]));
    let even = list(None, Some(2), published, None, 9).await;
    assert_eq!(even, posts(&[6, 2]));
    assert_eq!(list(late, Some(2), published, None, 9).await, posts(&[6]));
    assert_eq!(list(late, Some(2), draft, Some(8), 9).await, []);
}

pub async fn embedded_events_come_by_id_between_two_others(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    eight_posts(&*port).await;
    let ids = async |after, before, limit| {
        let found = port.embedded_events(event_id(after), event_id(before), limit);
        let ids = found.await.unwrap().into_iter().map(|event| event.id);
        ids.collect::<Vec<EventId>>()
    };
    assert_eq!(ids(2, 6, 9).await, [3, 4, 5].map(event_id));
    assert_eq!(ids(0, 99, 2).await, [1, 2].map(event_id));
    assert_eq!(ids(8, 99, 9).await, []);
    assert_eq!(ids(0, 1, 9).await, []);
    assert_eq!(ids(0, 99, 99).await.len(), 8);
}
