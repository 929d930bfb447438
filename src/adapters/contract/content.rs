//! What adapters of [`Content`] are held to.

use crate::domain::event::Event;
use crate::domain::ids::UserId;
use crate::domain::mark::Mark;
use crate::domain::post::{Post, PostCounts, PostStatus, Standing};
use crate::ports::content::{Content, CreatePostError, Kept, PostFilter};

use super::community::{Community, changed, comment, key, post_by};
use super::{at, event_id, post, post_id, posted, race};

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
                counts_that_a_post_carries_are_not_believed,
                a_post_is_replaced_only_if_its_last_event_is_expected,
                a_replaced_post_keeps_what_never_changes,
                of_racing_replacements_one_is_stored,
                a_removed_post_is_kept_and_shown_nowhere,
                posts_are_found_by_slug_and_by_id,
                the_standing_of_posts_is_told_until_they_are_removed,
                embedded_events_of_all_documents_come_by_id,
            ]
        );
    };
}
pub(crate) use content_contract;

pub async fn a_created_post_is_read_back_as_it_was(factory: impl AsyncFnOnce() -> Community) {
    let Community { content: port, keep: _keep, .. } = factory().await;
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

pub async fn creating_again_returns_what_is_stored(factory: impl AsyncFnOnce() -> Community) {
    let Community { content: port, keep: _keep, .. } = factory().await;
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
    assert_eq!(embedded(&*port, 0, 9).await, [event]);
}

/// All events that documents embed between two.
pub async fn embedded(port: &dyn Content, after: u16, before: u16) -> Vec<Event> {
    let ids = port.embedded_ids(event_id(after), event_id(before), 999).await.unwrap();
    port.embedded_events(&ids).await.unwrap()
}

pub async fn a_taken_slug_writes_nothing(factory: impl AsyncFnOnce() -> Community) {
    let Community { content: port, keep: _keep, .. } = factory().await;
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
    assert_eq!(embedded(&*port, 1, 9).await, [event]);
}

pub async fn of_racing_creations_one_is_stored(factory: impl AsyncFnOnce() -> Community) {
    let Community { content: port, keep: _keep, .. } = factory().await;
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

pub async fn counts_that_a_post_carries_are_not_believed(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    let mut kept = post_by(1, 42, 1);
    kept.document.counts.likes = 7;
    let created = community.content.create_post(&kept.document, &kept.event).await.unwrap();
    assert_eq!(created.0.counts, PostCounts::default());
    let stored = community.content.post(post_id(1)).await.unwrap().unwrap();
    assert_eq!(stored.counts, PostCounts::default());
    community.set(key(7, Mark::Like(post_id(1))), 50, 5, true).await;
    let again = community.content.create_post(&kept.document, &kept.event).await.unwrap();
    assert_eq!(again.0.counts.likes, 1);
}

pub async fn a_post_is_replaced_only_if_its_last_event_is_expected(
    factory: impl AsyncFnOnce() -> Community,
) {
    let Community { content: port, keep: _keep, .. } = factory().await;
    let first = post_by(1, 42, 1);
    let second = changed(&first, 50, |kept| {
        kept.document.title = "Second".into();
        kept.document.tags = vec!["new".into()];
        kept.document.version = 2;
    });
    assert!(!port.replace_post(&second, first.event.id).await.unwrap(), "it is not there");
    port.create_post(&first.document, &first.event).await.unwrap();
    assert!(!port.replace_post(&second, event_id(9)).await.unwrap());
    assert_eq!(port.kept_post(post_id(1)).await.unwrap().as_ref(), Some(&first));
    assert!(port.replace_post(&second, first.event.id).await.unwrap());
    assert!(!port.replace_post(&first, first.event.id).await.unwrap());
    assert_eq!(port.kept_post(post_id(1)).await.unwrap(), Some(second));
}

pub async fn a_replaced_post_keeps_what_never_changes(factory: impl AsyncFnOnce() -> Community) {
    let Community { content: port, keep: _keep, .. } = factory().await;
    let first = post_by(1, 42, 1);
    port.create_post(&first.document, &first.event).await.unwrap();
    let forged = changed(&first, 50, |kept| {
        kept.document.slug = "another".into();
        kept.document.author.id = UserId(43);
        kept.document.created_at = at(99);
        kept.document.counts.views = 9;
        kept.document.content = "changed".into();
    });
    assert!(port.replace_post(&forged, first.event.id).await.unwrap());
    let expected = Post { content: "changed".into(), ..first.document };
    assert_eq!(port.post(post_id(1)).await.unwrap(), Some(expected));
    assert_eq!(port.post_with_slug("another").await.unwrap(), None);
    let by = |author| PostFilter { author: Some(UserId(author)), ..PostFilter::default() };
    assert_eq!(port.posts(&by(42), None, 9).await.unwrap().len(), 1);
    assert_eq!(port.posts(&by(43), None, 9).await.unwrap(), []);
}

pub async fn of_racing_replacements_one_is_stored(factory: impl AsyncFnOnce() -> Community) {
    let Community { content: port, keep: _keep, .. } = factory().await;
    let first = post_by(1, 42, 1);
    port.create_post(&first.document, &first.event).await.unwrap();
    let racers = race(|n| {
        let port = port.clone();
        let expected = first.event.id;
        let edit = changed(&first, 50 + u16::from(n), |kept| kept.document.title = n.to_string());
        async move { port.replace_post(&edit, expected).await.unwrap() }
    });
    let won = racers.await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    let winner = won.iter().position(|won| *won).unwrap();
    let stored = port.post(post_id(1)).await.unwrap().unwrap();
    assert_eq!(stored.title, winner.to_string());
}

pub async fn a_removed_post_is_kept_and_shown_nowhere(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    let first = post_by(1, 42, 1);
    community.create(&first).await;
    community.follow(40, 7, 42, 0, true).await;
    let removed = community.change(&first, 50, |kept| kept.removed = true).await;
    let port = &community.content;
    assert_eq!(port.kept_post(post_id(1)).await.unwrap(), Some(removed.clone()));
    assert_eq!(port.post(post_id(1)).await.unwrap(), None);
    assert_eq!(port.post_with_slug("post-1").await.unwrap(), None);
    assert_eq!(port.published(&[post_id(1)]).await.unwrap(), []);
    let all = PostFilter::default();
    let lists = [
        PostFilter { tag: Some("rust".into()), ..all.clone() },
        PostFilter { author: Some(UserId(42)), ..all.clone() },
        PostFilter { followed_by: Some(UserId(7)), ..all.clone() },
        all,
    ];
    for list in lists {
        assert_eq!(port.posts(&list, None, 9).await.unwrap(), []);
    }
    // Its slug is not given to another, as links lead there.
    let mut second = post(2);
    second.slug = first.document.slug.clone();
    let refused = port.create_post(&second, &posted(60, &second)).await;
    assert!(matches!(refused, Err(CreatePostError::SlugTaken)));
    // And a retry of its creation finds it.
    let again = port.create_post(&first.document, &first.event).await.unwrap();
    assert_eq!(again.1, removed.event);
}

pub async fn the_standing_of_posts_is_told_until_they_are_removed(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    let ids = [1, 2, 3].map(post_id);
    assert!(community.content.standings(&ids).await.unwrap().is_empty());
    assert!(community.content.standings(&[]).await.unwrap().is_empty());
    let kept = post_by(1, 42, 1);
    community.create(&kept).await;
    let mut draft = post_by(2, 43, 1);
    draft.document.status = PostStatus::Draft;
    community.create(&draft).await;
    let found = community.content.standings(&ids).await.unwrap();
    assert_eq!(found.len(), 2);
    let published = Standing { author: UserId(42), status: PostStatus::Published };
    assert_eq!(found[&ids[0]], published);
    assert_eq!(found[&ids[1]], Standing { author: UserId(43), status: PostStatus::Draft });
    let removed = community.change(&kept, 20, |kept| kept.removed = true).await;
    assert!(removed.removed);
    assert!(!community.content.standings(&ids).await.unwrap().contains_key(&ids[0]));
}

pub async fn posts_are_found_by_slug_and_by_id(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    for n in 1..=3 {
        community.create(&post_by(n, 42, n.into())).await;
    }
    let draft = {
        let mut kept = post_by(4, 42, 4);
        kept.document.status = PostStatus::Draft;
        kept.document.published_at = None;
        Kept { event: posted(4, &kept.document), ..kept }
    };
    community.create(&draft).await;
    let port = &community.content;
    assert_eq!(port.post_with_slug("post-2").await.unwrap(), Some(post_id(2)));
    assert_eq!(port.post_with_slug("post-4").await.unwrap(), Some(post_id(4)));
    assert_eq!(port.post_with_slug("Post-2").await.unwrap(), None);
    let wanted = [3, 9, 4, 1, 3].map(post_id);
    let mut found: Vec<_> =
        port.published(&wanted).await.unwrap().into_iter().map(|post| post.id).collect();
    found.sort_unstable();
    assert_eq!(found, [1, 3].map(post_id));
    assert_eq!(port.published(&[]).await.unwrap(), []);
    let counts = port.counts(&wanted).await.unwrap();
    let mut known: Vec<_> = counts.into_keys().collect();
    known.sort_unstable();
    assert_eq!(known, [1, 3, 4].map(post_id));
}

pub async fn embedded_events_of_all_documents_come_by_id(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    let first = post_by(1, 42, 1);
    community.create(&first).await;
    community.create(&post_by(2, 42, 2)).await;
    community.change(&first, 7, |kept| kept.document.title = "Changed".into()).await;
    for n in [3, 5] {
        community.set(key(7, Mark::Like(post_id(1))), n, 5, n == 3).await;
    }
    community.follow(4, 7, 42, 5, true).await;
    let kept = comment(1, post_id(1), 6);
    community.comments.create_comment(&kept.document, &kept.event).await.unwrap();
    let read = super::inbox::reading(8, 7, &[], Some(5));
    let marked = community.inbox.mark_read(UserId(7), &read.0, &read.1, None).await;
    assert!(marked.unwrap());
    let ids = async |after, before, limit| {
        let found = community.content.embedded_ids(event_id(after), event_id(before), limit);
        found.await.unwrap()
    };
    assert_eq!(ids(0, 999, 99).await, [2, 4, 5, 7, 8, 101].map(event_id));
    assert_eq!(ids(2, 8, 99).await, [4, 5, 7].map(event_id));
    assert_eq!(ids(0, 999, 2).await, [2, 4].map(event_id));
    assert_eq!(ids(101, 999, 9).await, []);
    assert_eq!(ids(0, 2, 9).await, []);
    assert_eq!(embedded(&*community.content, 7, 999).await, [read.1, kept.event.clone()]);
    let some = [kept.event.id, event_id(3), event_id(998)];
    assert_eq!(community.content.embedded_events(&some).await.unwrap(), [kept.event]);
    assert_eq!(community.content.embedded_events(&[]).await.unwrap(), []);
}
