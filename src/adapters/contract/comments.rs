//! What adapters of [`Comments`](crate::ports::comments::Comments) are held to.

use crate::domain::event::{CommentChange, Fact};
use crate::domain::ids::CommentId;
use crate::domain::page::Cursor;
use crate::ports::content::Kept;

use super::community::{Community, comment, comment_id, event_by, post_by};
use super::{event_id, post_id, race};

/// Makes a test of each promise.
macro_rules! comments_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::comments,
            $factory,
            [
                a_created_comment_is_read_back_as_it_was,
                creating_a_comment_again_returns_what_is_stored,
                comments_are_created_together,
                a_comment_is_replaced_only_if_its_last_event_is_expected,
                of_racing_creations_and_replacements_one_is_stored,
                comments_are_listed_oldest_first_in_parts,
                removed_comments_are_neither_listed_nor_counted,
            ]
        );
    };
}
pub(crate) use comments_contract;

type Commented = Kept<crate::domain::comment::Comment>;

fn edited(before: &Commented, n: u16, change: impl FnOnce(&mut Commented)) -> Commented {
    let mut after = before.clone();
    change(&mut after);
    let change = CommentChange { comment: after.document.clone(), notify: Vec::new() };
    let fact = match after.removed {
        true => Fact::CommentRemoved(Box::new(change)),
        false => Fact::CommentEdited(Box::new(change)),
    };
    Kept { event: event_by(n, 42, i64::from(n), fact), ..after }
}

async fn count(community: &Community) -> u64 {
    community.content.counts(&[post_id(1)]).await.unwrap()[&post_id(1)].comments
}

pub async fn a_created_comment_is_read_back_as_it_was(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    for n in [1, 2] {
        let kept = comment(n, post_id(1), 5);
        let created = community.comments.create_comment(&kept.document, &kept.event).await;
        assert_eq!(created.unwrap(), (kept.document.clone(), kept.event.clone()));
        assert_eq!(community.comments.comment(kept.document.id).await.unwrap(), Some(kept));
    }
    assert_eq!(community.comments.comment(comment_id(3)).await.unwrap(), None);
}

pub async fn creating_a_comment_again_returns_what_is_stored(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    community.create(&post_by(1, 42, 1)).await;
    let first = comment(1, post_id(1), 5);
    community.comments.create_comment(&first.document, &first.event).await.unwrap();
    let other = edited(&first, 200, |kept| kept.document.content = "other".into());
    let again = community.comments.create_comment(&other.document, &other.event).await.unwrap();
    assert_eq!(again, (first.document.clone(), first.event.clone()));
    assert_eq!(count(&community).await, 1);
    let listed = community.comments.comments(post_id(1), None, 9).await.unwrap();
    assert_eq!(listed, [first.document]);
}

pub async fn comments_are_created_together(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    community.create(&post_by(1, 42, 1)).await;
    community.create(&post_by(2, 42, 1)).await;
    let [first, second, third] = [(1, 1), (2, 1), (3, 2)].map(|(n, post)| {
        let kept = comment(n, post_id(post), 5);
        (kept.document, kept.event)
    });
    assert_eq!(community.comments.create_comments(&[]).await.unwrap(), []);
    let created = community.comments.create_comments(&[first.clone(), second.clone()]).await;
    assert_eq!(created.unwrap(), [first.clone(), second.clone()]);
    let mut other = second.clone();
    other.0.content = "other".into();
    let created = community.comments.create_comments(&[other, third.clone()]).await;
    assert_eq!(created.unwrap(), [second.clone(), third.clone()]);
    let counts = community.content.counts(&[post_id(1), post_id(2)]).await.unwrap();
    assert_eq!((counts[&post_id(1)].comments, counts[&post_id(2)].comments), (2, 1));
    let listed = community.comments.comments(post_id(1), None, 9).await.unwrap();
    assert_eq!(listed, [first.0, second.0]);
}

pub async fn a_comment_is_replaced_only_if_its_last_event_is_expected(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    let first = comment(1, post_id(1), 5);
    let second = edited(&first, 200, |kept| {
        kept.document.content = "second".into();
        kept.document.edited = true;
    });
    let replace =
        async |kept, expected| community.comments.replace_comment(kept, expected).await.unwrap();
    assert!(!replace(&second, first.event.id).await, "it is not there");
    community.comments.create_comment(&first.document, &first.event).await.unwrap();
    assert!(!replace(&second, event_id(1)).await);
    let stored = community.comments.comment(comment_id(1)).await.unwrap();
    assert_eq!(stored.as_ref(), Some(&first));
    assert!(replace(&second, first.event.id).await);
    assert!(!replace(&first, first.event.id).await);
    assert_eq!(community.comments.comment(comment_id(1)).await.unwrap(), Some(second));
}

pub async fn of_racing_creations_and_replacements_one_is_stored(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    community.create(&post_by(1, 42, 1)).await;
    let first = comment(1, post_id(1), 5);
    let created = race(|n| {
        let comments = community.comments.clone();
        let mut kept = edited(&first, 200 + u16::from(n), |_| {});
        kept.document.content = n.to_string();
        async move { comments.create_comment(&kept.document, &kept.event).await.unwrap() }
    });
    let created = created.await;
    assert!(created.iter().all(|one| *one == created[0]));
    let expected = created[0].1.id;
    let replaced = race(|n| {
        let comments = community.comments.clone();
        let kept = edited(&first, 300 + u16::from(n), |kept| kept.removed = true);
        async move { comments.replace_comment(&kept, expected).await.unwrap() }
    });
    assert_eq!(replaced.await.iter().filter(|won| **won).count(), 1);
    assert_eq!(count(&community).await, 0);
}

pub async fn comments_are_listed_oldest_first_in_parts(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    // Several were written at the same time.
    for (n, time) in [(5, 20), (1, 10), (4, 20), (3, 20), (2, 30), (6, 5)] {
        let kept = comment(n, post_id(1), time);
        community.comments.create_comment(&kept.document, &kept.event).await.unwrap();
    }
    let other = comment(7, post_id(2), 20);
    community.comments.create_comment(&other.document, &other.event).await.unwrap();
    for limit in 1..8 {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = community.comments.comments(post_id(1), after.as_ref(), limit).await;
            let page = page.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(Cursor { at: last.created_at, id: last.id.to_string() });
            seen.extend(page.iter().map(|comment| comment.id));
        }
        let expected: Vec<CommentId> = [6, 1, 3, 4, 5, 2].map(comment_id).to_vec();
        assert_eq!(seen, expected);
    }
    assert_eq!(community.comments.comments(post_id(3), None, 9).await.unwrap(), []);
}

pub async fn removed_comments_are_neither_listed_nor_counted(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    community.create(&post_by(1, 42, 1)).await;
    let kept = [1, 2, 3].map(|n| comment(n, post_id(1), i64::from(n)));
    for kept in &kept {
        community.comments.create_comment(&kept.document, &kept.event).await.unwrap();
    }
    assert_eq!(count(&community).await, 3);
    let removed = edited(&kept[1], 200, |kept| kept.removed = true);
    let replaced = community.comments.replace_comment(&removed, kept[1].event.id).await;
    assert!(replaced.unwrap());
    assert_eq!(count(&community).await, 2);
    let listed = community.comments.comments(post_id(1), None, 9).await.unwrap();
    assert_eq!(listed, [kept[0].document.clone(), kept[2].document.clone()]);
    assert_eq!(community.comments.comment(comment_id(2)).await.unwrap().as_ref(), Some(&removed));
    // An edit changes no count; removed a second time, it counts once.
    let edit = edited(&kept[0], 201, |kept| kept.document.edited = true);
    community.comments.replace_comment(&edit, kept[0].event.id).await.unwrap();
    let again = edited(&removed, 202, |_| {});
    community.comments.replace_comment(&again, removed.event.id).await.unwrap();
    assert_eq!(count(&community).await, 2);
    assert_eq!(community.content.post(post_id(1)).await.unwrap().unwrap().counts.comments, 2);
}
