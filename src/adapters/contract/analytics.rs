//! What adapters of [`Analytics`] are held to.

use crate::domain::comment::Comment;
use crate::domain::event::{
    CommentChange, Event, Fact, Follow, InboxRead, LoggedEvent, PostChange, PostMark,
};
use crate::domain::ids::{CommentId, UserId};
use crate::domain::post::{Author, Post};
use crate::ports::analytics::Analytics;

use super::{
    Subject, actor, at, cursor, event_id, incarnation, logged, post, post_id, posted, publication,
    race,
};

/// Makes a test of each promise.
macro_rules! analytics_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::analytics,
            $factory,
            [
                events_are_counted_and_the_cursor_advances,
                an_event_is_counted_once_however_often_it_comes,
                a_cursor_never_moves_back,
                what_is_set_aside_is_passed_and_counts_as_dealt_with,
                racing_projections_count_each_event_once,
                every_kind_of_event_is_counted,
            ]
        );
    };
}
pub(crate) use analytics_contract;

/// What user 42 did, `n` milliseconds after the beginning.
pub(crate) fn did(n: u16, fact: Fact) -> Event {
    Event { id: event_id(n), actor: Some(actor()), time: at(i64::from(n)), fact }
}

/// A post that was changed or removed.
pub(crate) fn changed(post: Post) -> Box<PostChange> {
    Box::new(PostChange { post, former_tags: vec!["old".into()] })
}

/// A comment by user 43.
pub(crate) fn commented(n: u8) -> Box<CommentChange> {
    let author = Author { id: UserId(43), username: "bob".into(), display_name: "Bob".into() };
    let comment = Comment {
        id: CommentId::from_parts(at(0), u32::from(n), [n; 3]),
        post_id: post_id(1),
        parent_id: None,
        author,
        content: "It's \"good\"".into(),
        created_at: at(i64::from(n)),
        edited: false,
    };
    Box::new(CommentChange { comment, notify: Vec::new() })
}

/// One event of each kind but those in [`three`], in the order in which they could have happened.
pub(crate) fn one_of_each() -> Vec<Event> {
    let mark = PostMark { post_id: post_id(1), post_author: UserId(42), since: None };
    let taken_back = PostMark { since: Some(at(1)), ..mark };
    let follow = Follow { user: UserId(43) };
    let mut draft = post(2);
    draft.status = crate::domain::post::PostStatus::Draft;
    let facts = [
        Fact::PostDrafted(Box::new(draft)),
        Fact::PostUpdated(changed(Post { version: 2, ..post(1) })),
        Fact::PostLiked(mark),
        Fact::PostUnliked(taken_back),
        Fact::PostBookmarked(mark),
        Fact::PostUnbookmarked(taken_back),
        Fact::PostShared(mark),
        Fact::PostViewed(mark),
        Fact::PostCommented(commented(1)),
        Fact::CommentEdited(commented(1)),
        Fact::CommentRemoved(commented(1)),
        Fact::UserFollowed(follow),
        Fact::UserUnfollowed(follow),
        Fact::NotificationRead(InboxRead { ids: vec![event_id(1)], through: Some(at(9)) }),
        Fact::PostRemoved(changed(Post { version: 3, ..post(1) })),
    ];
    (10..).zip(facts).map(|(n, fact)| did(n, fact)).collect()
}

type Factory = Subject<dyn Analytics>;

/// Two publications and a post, numbered from 1.
fn three() -> [LoggedEvent; 3] {
    [logged(1, 1, publication(1)), logged(1, 2, posted(2, &post(1))), logged(1, 3, publication(3))]
}

fn totals(published: u64, posts: u64) -> Vec<(String, u64)> {
    vec![("channel.published".to_owned(), published), ("post.published".to_owned(), posts)]
}

pub async fn events_are_counted_and_the_cursor_advances(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    assert_eq!(port.cursors().await.unwrap(), []);
    assert_eq!(port.totals().await.unwrap(), []);
    port.project(&three(), cursor(1, 3)).await.unwrap();
    port.project(&[], cursor(2, 9)).await.unwrap();
    let mut cursors = port.cursors().await.unwrap();
    cursors.sort_by_key(|cursor| cursor.incarnation);
    assert_eq!(cursors, [cursor(1, 3), cursor(2, 9)]);
    assert_eq!(port.totals().await.unwrap(), totals(2, 1));
    assert_eq!(port.projected(incarnation(1)).await.unwrap(), 3);
    assert_eq!(port.projected(incarnation(2)).await.unwrap(), 0);
}

pub async fn an_event_is_counted_once_however_often_it_comes(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    let events = three();
    port.project(&events[..2], cursor(1, 2)).await.unwrap();
    // A replay that overlaps, with one event twice in the batch.
    let mut replay = events.to_vec();
    replay.push(events[2].clone());
    port.project(&replay, cursor(1, 3)).await.unwrap();
    port.project(&replay, cursor(1, 3)).await.unwrap();
    assert_eq!(port.totals().await.unwrap(), totals(2, 1));
    assert_eq!(port.projected(incarnation(1)).await.unwrap(), 3);
}

pub async fn a_cursor_never_moves_back(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    port.project(&[], cursor(1, 5)).await.unwrap();
    port.project(&three(), cursor(1, 3)).await.unwrap();
    let aside = logged(1, 4, publication(4));
    port.set_aside(&aside, "late").await.unwrap();
    assert_eq!(port.cursors().await.unwrap(), [cursor(1, 5)]);
    assert_eq!(port.totals().await.unwrap(), totals(2, 1));
}

pub async fn what_is_set_aside_is_passed_and_counts_as_dealt_with(
    factory: impl AsyncFnOnce() -> Factory,
) {
    let Subject { port, keep: _keep } = factory().await;
    port.project(&three(), cursor(1, 3)).await.unwrap();
    let aside = logged(1, 4, publication(4));
    for reason in ["unreadable", "still unreadable"] {
        port.set_aside(&aside, reason).await.unwrap();
    }
    assert_eq!(port.cursors().await.unwrap(), [cursor(1, 4)]);
    assert_eq!(port.totals().await.unwrap(), totals(2, 1));
    assert_eq!(port.projected(incarnation(1)).await.unwrap(), 4);
}

pub async fn racing_projections_count_each_event_once(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let attempts = race(|_| {
        let port = port.clone();
        async move { port.project(&three(), cursor(1, 3)).await }
    });
    for attempt in attempts.await {
        attempt.unwrap();
    }
    assert_eq!(port.totals().await.unwrap(), totals(2, 1));
    assert_eq!(port.projected(incarnation(1)).await.unwrap(), 3);
}

pub async fn every_kind_of_event_is_counted(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let events = one_of_each();
    let batch: Vec<_> = (4..).zip(&events).map(|(n, event)| logged(1, n, event.clone())).collect();
    let top = 3 + batch.len() as u64;
    port.project(&three(), cursor(1, 3)).await.unwrap();
    for _ in 0..2 {
        port.project(&batch, cursor(1, top)).await.unwrap();
    }
    let mut expected = totals(2, 1);
    expected.extend(events.iter().map(|event| (event.fact.kind().to_owned(), 1)));
    expected.sort_unstable();
    assert_eq!(port.totals().await.unwrap(), expected);
    assert_eq!(port.projected(incarnation(1)).await.unwrap(), top);
}
