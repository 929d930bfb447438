//! What adapters of [`DocumentAudit`] and [`CountAudit`] are held to.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::domain::ids::{PostId, UserId};
use crate::domain::mark::Mark;
use crate::domain::notification::NotificationKind;
use crate::ports::audit::content::{CountAudit, DocumentAudit, DocumentKey, LastEvent};
use crate::ports::content::Kept;

use super::community::{Community, comment, comment_id, key, notice, post_by};
use super::{event_id, post_id};

/// Makes a test of each promise.
macro_rules! audit_content_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::audit_content,
            $factory,
            [
                documents_tell_their_last_event_and_what_they_say,
                what_was_not_told_is_told_of_but_not_of_who_may_not_want_it,
                posts_and_users_are_walked_in_pages,
                counts_of_posts_are_compared_and_put_right,
                counts_of_follows_are_compared_and_put_right,
                counts_of_unread_notifications_are_compared_and_put_right,
            ]
        );
    };
}
pub(crate) use audit_content_contract;

/// What is done to the counts past the ports.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    /// One like too many, and two comments too few.
    Post(PostId),
    /// Three followers too many.
    Followers(UserId),
    /// Two unread likes too many.
    Unread(UserId),
}

/// The ports that share one store, and a way past them.
pub struct AuditedContent {
    /// Posts, marks, comments and inboxes.
    pub community: Community,
    /// Reads what is embedded.
    pub documents: Arc<dyn DocumentAudit>,
    /// Compares what is counted.
    pub counts: Arc<dyn CountAudit>,
    /// Does some damage.
    pub damage: Box<dyn Fn(Damage) -> BoxFuture<'static, ()> + Send + Sync>,
}

pub async fn documents_tell_their_last_event_and_what_they_say(
    factory: impl AsyncFnOnce() -> AuditedContent,
) {
    let AuditedContent { community, documents, .. } = factory().await;
    let kept = post_by(1, 42, 1);
    community.create(&kept).await;
    community.create(&post_by(2, 42, 1)).await;
    community.change(&kept, 20, |kept| kept.removed = true).await;
    let said = comment(1, post_id(1), 5);
    community.comments.create_comment(&said.document, &said.event).await.unwrap();
    let marks = [
        Mark::Like(post_id(1)),
        Mark::Bookmark(post_id(1)),
        Mark::Share(post_id(1), event_id(77)),
        Mark::View(post_id(1), 472_222),
        Mark::Follow(UserId(5)),
    ];
    for (n, mark) in (30..).zip(marks) {
        community.set(key(7, mark), n, 5, true).await;
    }
    community.set(key(7, Mark::Like(post_id(1))), 40, 6, false).await;
    community.set(key(8, Mark::Like(post_id(1))), 41, 6, true).await;
    community.read(50, 7, &[30], None).await;
    let mut expected: HashMap<_, _> =
        (30..).zip(marks).map(|(n, mark)| (DocumentKey::Mark(key(7, mark)), (n, true))).collect();
    expected.insert(DocumentKey::Mark(key(7, Mark::Like(post_id(1)))), (40, false));
    expected.insert(DocumentKey::Post(post_id(1)), (20, false));
    expected.insert(DocumentKey::Post(post_id(2)), (2, true));
    expected.insert(DocumentKey::Comment(comment_id(1)), (101, true));
    expected.insert(DocumentKey::Inbox(UserId(7)), (50, true));
    let mut keys: Vec<_> = expected.keys().copied().collect();
    keys.extend([
        DocumentKey::Post(post_id(9)),
        DocumentKey::Comment(comment_id(9)),
        DocumentKey::Mark(key(9, Mark::Like(post_id(1)))),
        DocumentKey::Mark(key(7, Mark::View(post_id(1), 472_223))),
        DocumentKey::Mark(key(5, Mark::Follow(UserId(7)))),
        // It has an inbox that nobody read.
        DocumentKey::Inbox(UserId(42)),
        DocumentKey::Post(post_id(1)),
    ]);
    let found = documents.last_events(&keys).await.unwrap();
    let found: HashMap<_, _> =
        found.into_iter().map(|(key, LastEvent { event, holds })| (key, (event, holds))).collect();
    let expected: HashMap<_, _> =
        expected.into_iter().map(|(key, (n, holds))| (key, (event_id(n), holds))).collect();
    assert_eq!(found, expected);
    assert!(documents.last_events(&[]).await.unwrap().is_empty());
}

pub async fn what_was_not_told_is_told_of_but_not_of_who_may_not_want_it(
    factory: impl AsyncFnOnce() -> AuditedContent,
) {
    use NotificationKind::{Commented, Liked};
    let AuditedContent { community, documents, .. } = factory().await;
    let notices =
        [notice(1, 10, 50, Commented), notice(2, 10, 50, Commented), notice(1, 11, 51, Liked)];
    let untold = async |notices| {
        let mut untold = documents.untold(notices).await.unwrap();
        untold.sort_unstable();
        untold
    };
    let pair = |user, n| (UserId(user), event_id(n));
    assert_eq!(untold(&notices).await, [pair(1, 10), pair(1, 11), pair(2, 10)]);
    community.inbox.put(&notices[..1]).await.unwrap();
    assert_eq!(untold(&notices).await, [pair(1, 11), pair(2, 10)]);
    // By the same person for the same post, and so told once.
    community.inbox.put(&[notice(1, 12, 49, Liked)]).await.unwrap();
    assert_eq!(untold(&notices).await, [pair(2, 10)]);
    community.mute(2, &[Commented]).await;
    assert_eq!(untold(&notices).await, []);
    community.mute(2, &[]).await;
    assert_eq!(untold(&notices).await, [], "it may not have been wanted then");
    assert_eq!(untold(&[]).await, []);
}

pub async fn posts_and_users_are_walked_in_pages(factory: impl AsyncFnOnce() -> AuditedContent) {
    let AuditedContent { community, counts, .. } = factory().await;
    assert_eq!(counts.posts_after(None, 9).await.unwrap(), []);
    assert_eq!(counts.users_after(None, 9).await.unwrap(), []);
    for n in 1..=5 {
        community.create(&post_by(n, 42, 1)).await;
    }
    let removed = Kept { removed: true, ..post_by(3, 42, 1) };
    assert!(community.content.replace_post(&removed, event_id(3)).await.unwrap());
    let ids: Vec<_> = (1..=5).map(post_id).collect();
    assert_eq!(counts.posts_after(None, 3).await.unwrap(), ids[..3]);
    assert_eq!(counts.posts_after(Some(ids[2]), 3).await.unwrap(), ids[3..]);
    assert_eq!(counts.posts_after(Some(ids[4]), 3).await.unwrap(), []);
    for (n, user) in (10..).zip([7, 8, 9, -3]) {
        community.follow(n, user, 5, 10, true).await;
    }
    community.follow(20, 5, 7, 10, true).await;
    let (mut walked, mut after) = (Vec::new(), None);
    loop {
        let page = counts.users_after(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(*last);
        walked.extend(page);
    }
    // The author of the posts may be known as well: something is counted of him.
    walked.retain(|user| user.0 != 42);
    assert_eq!(walked, [-3, 5, 7, 8, 9].map(UserId));
}

pub async fn counts_of_posts_are_compared_and_put_right(
    factory: impl AsyncFnOnce() -> AuditedContent,
) {
    let AuditedContent { community, counts, damage, .. } = factory().await;
    // More than are counted one by one.
    let posts: Vec<_> = (1..=20).map(post_id).collect();
    for n in 1..=20 {
        community.create(&post_by(n, 42, 1)).await;
    }
    let post = posts[4];
    for n in 10..13_u16 {
        let user = i64::from(n);
        community.set(key(user, Mark::Like(post)), n, 5, n != 12).await;
        community.set(key(user, Mark::Share(post, event_id(n + 50))), n + 50, 5, true).await;
        community.set(key(user, Mark::View(post, 7)), n + 100, 5, true).await;
    }
    community.set(key(10, Mark::Like(posts[5])), 200, 5, true).await;
    community.set(key(i64::MIN, Mark::Bookmark(post)), 201, 5, true).await;
    // Of posts that are not there nothing is told.
    community.set(key(10, Mark::Like(post_id(99))), 202, 5, true).await;
    let said = comment(1, post, 6);
    community.comments.create_comment(&said.document, &said.event).await.unwrap();
    let tallied = async |ids: &[PostId]| {
        let mut tallies = counts.post_tallies(ids).await.unwrap();
        tallies.retain(|tally| tally.kept != [0; 5] || tally.counted != [0; 5]);
        tallies.sort_by_key(|tally| tally.post);
        tallies.iter().map(|tally| (tally.post, tally.kept, tally.counted)).collect::<Vec<_>>()
    };
    let (right, liked) = ([3, 2, 1, 3, 1], [0, 1, 0, 0, 0]);
    let all_right = [(post, right, right), (posts[5], liked, liked)];
    assert_eq!(tallied(&posts).await, all_right);
    assert_eq!(counts.post_tallies(&posts).await.unwrap().len(), 20);
    assert_eq!(tallied(&[posts[5], post, post_id(98)]).await, all_right);
    assert_eq!(counts.recount_post(post).await.unwrap(), Some(false));
    assert_eq!(counts.recount_post(posts[0]).await.unwrap(), Some(false));
    damage(Damage::Post(post)).await;
    assert_eq!(tallied(&posts).await[0], (post, [3, 3, -1, 3, 1], right));
    assert_eq!(tallied(&[post]).await, [(post, [3, 3, -1, 3, 1], right)]);
    assert_eq!(counts.recount_post(post).await.unwrap(), Some(true));
    assert_eq!(tallied(&posts).await, all_right);
    assert_eq!(counts.recount_post(post_id(98)).await.unwrap(), None);
}

pub async fn counts_of_follows_are_compared_and_put_right(
    factory: impl AsyncFnOnce() -> AuditedContent,
) {
    let AuditedContent { community, counts, damage, .. } = factory().await;
    for (n, user) in (10..).zip([7, 8, 9]) {
        community.follow(n, user, 5, 10, true).await;
    }
    community.follow(20, 7, 5, 11, false).await;
    community.follow(21, 5, 9, 11, true).await;
    let tally = async |user| {
        let tallies = counts.follow_tallies(&[UserId(user)]).await.unwrap();
        assert_eq!(tallies.len(), 1);
        (tallies[0].kept, tallies[0].counted)
    };
    assert_eq!(tally(5).await, ([2, 1], [2, 1]));
    assert_eq!(tally(99).await, ([0, 0], [0, 0]));
    assert_eq!(counts.recount_follows(UserId(5)).await.unwrap(), Some(false));
    damage(Damage::Followers(UserId(5))).await;
    assert_eq!(tally(5).await, ([5, 1], [2, 1]));
    assert_eq!(counts.recount_follows(UserId(5)).await.unwrap(), Some(true));
    assert_eq!(tally(5).await, ([2, 1], [2, 1]));
    let kept = community.marks.follow_counts(&[UserId(5)]).await.unwrap();
    assert_eq!((kept[&UserId(5)].followers, kept[&UserId(5)].following), (2, 1));
}

pub async fn counts_of_unread_notifications_are_compared_and_put_right(
    factory: impl AsyncFnOnce() -> AuditedContent,
) {
    use NotificationKind::{Commented, Followed, Liked};
    let AuditedContent { community, counts, damage, .. } = factory().await;
    assert_eq!(counts.inboxes_after(None, 9).await.unwrap(), []);
    community.put(&[(1, 10, 50, Liked), (1, 11, 51, Commented), (1, 12, 52, Commented)]).await;
    community.put(&[(2, 10, 50, Liked), (3, 10, 50, Followed)]).await;
    community.read(90, 1, &[11], None).await;
    community.read(91, 3, &[], Some(60)).await;
    let users = [1, 2, 3].map(UserId);
    assert_eq!(counts.inboxes_after(None, 2).await.unwrap(), users[..2]);
    assert_eq!(counts.inboxes_after(Some(users[1]), 2).await.unwrap(), users[2..]);
    let tally = async |user| {
        let tallies = counts.unread_tallies(&[UserId(user)]).await.unwrap();
        assert_eq!(tallies.len(), 1);
        (tallies[0].kept, tallies[0].counted)
    };
    let right = [1, 1, 0, 0, 0];
    assert_eq!(tally(1).await, (right, right));
    assert_eq!(tally(3).await, ([0; 5], [0; 5]));
    assert_eq!(tally(9).await, ([0; 5], [0; 5]));
    assert_eq!(counts.unread_tallies(&users).await.unwrap().len(), 3);
    let before = community.state(1).await;
    assert_eq!(counts.recount_unread(UserId(1)).await.unwrap(), Some(false));
    assert_eq!(community.state(1).await, before);
    damage(Damage::Unread(UserId(1))).await;
    assert_eq!(tally(1).await, ([3, 1, 0, 0, 0], right));
    assert_eq!(community.state(1).await.unread_count, 4);
    assert_eq!(counts.recount_unread(UserId(1)).await.unwrap(), Some(true));
    assert_eq!(tally(1).await, (right, right));
    let after = community.state(1).await;
    assert_eq!(after.unread_count, 2);
    assert!(after.version > before.version, "what was told with the version before was wrong");
    // What comes then is added to it.
    community.put(&[(1, 13, 53, Commented)]).await;
    assert_eq!(community.unread(1).await, [13, 12, 10].map(event_id));
    assert_eq!(counts.recount_unread(UserId(9)).await.unwrap(), Some(false));
}
