//! What adapters of [`Inbox`](crate::ports::inbox::Inbox) are held to: posts of
//! followed authors among the items, and what holds whatever happens.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::event::Actor;
use crate::domain::ids::{EventId, UserId};
use crate::domain::mark::Mark;
use crate::domain::notification::{Notification, NotificationKind};
use crate::domain::page::Cursor;
use crate::domain::post::{Post, PostStatus};
use crate::ports::content::Kept;

use super::community::{Community, NOW, key, post_by};
use super::{at, event_id, posted};

/// Makes a test of each promise.
macro_rules! inbox_lists_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::inbox_lists,
            $factory,
            [
                posts_are_listed_that_were_published_while_their_author_was_followed,
                a_post_is_listed_once_whatever_the_clock_says_of_the_follows,
                only_posts_that_others_see_are_listed,
                a_draft_is_listed_by_the_event_of_its_publication,
                old_posts_are_no_longer_listed,
                both_kinds_of_items_are_merged_in_parts_of_any_size,
                whatever_happens_the_unread_are_counted_as_listed_and_versions_grow,
            ]
        );
    };
}
pub(crate) use inbox_lists_contract;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Community {
    async fn listed_ids(&self, user: i64) -> Vec<EventId> {
        self.listed(user).await.into_iter().map(|item| item.id).collect()
    }
}

pub async fn posts_are_listed_that_were_published_while_their_author_was_followed(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    let turns = [(10, 100, true), (11, 200, false), (12, 300, true), (13, 400, false)];
    let posts = [(1, 50), (2, 100), (3, 150), (4, 200), (5, 250), (6, 350), (7, 450)];
    for (n, time, on) in turns {
        community.follow(n, 7, 5, time, on).await;
    }
    for (n, time) in posts {
        community.create(&post_by(n, 5, time)).await;
    }
    community.create(&post_by(8, 6, 150)).await;
    // From the beginning of a follow on, until its end.
    assert_eq!(community.unread(7).await, [6, 3, 2].map(event_id));
    // An item of the moment of the end does not let in what was published then.
    community.put(&[(7, 20, 200, NotificationKind::Commented)]).await;
    let both = [6, 20, 3, 2].map(event_id);
    assert_eq!(in_parts(&community, 7, false, 1).await, both);
    assert_eq!(in_parts(&community, 7, true, 1).await, both);
    community.read(30, 7, &[20], None).await;
    let listed = community.listed(7).await;
    let expected = Notification {
        id: event_id(6),
        r#type: NotificationKind::Posted,
        actor: Actor { id: UserId(5), username: "user-5".into() },
        post_id: Some(super::post_id(6)),
        comment_id: None,
        created_at: at(350),
        read: false,
        seen: false,
    };
    assert_eq!(listed[0], expected);
    let wanted = [5, 6].map(|n| (UserId(7), event_id(n)));
    let items = community.inbox.items(&wanted).await.unwrap();
    assert_eq!(items.into_iter().collect::<Vec<_>>(), [(wanted[1], expected)]);
    assert_eq!(community.listed(8).await, []);
    // The follow goes on, and so do the posts; nothing vanishes when it ends.
    community.follow(14, 7, 5, 440, true).await;
    assert_eq!(community.unread(7).await, [7, 6, 3, 2].map(event_id));
    community.follow(15, 7, 5, 500, false).await;
    assert_eq!(community.unread(7).await, [7, 6, 3, 2].map(event_id));
}

pub async fn a_post_is_listed_once_whatever_the_clock_says_of_the_follows(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    // Several at the same time, and some that the clock has in another order.
    let turns = [
        (100, true),
        (100, false),
        (100, true),
        (200, true),
        (200, false),
        (150, true),
        (120, false),
        (180, true),
        (300, false),
    ];
    for (n, (time, on)) in (10..).zip(turns) {
        community.follow(n, 7, 5, time, on).await;
    }
    for (n, time) in [(1, 99), (2, 100), (3, 160), (4, 190), (5, 200), (6, 299), (7, 300)] {
        community.create(&post_by(n, 5, time)).await;
    }
    assert_eq!(community.unread(7).await, [6, 5, 4, 3, 2].map(event_id));
    assert_eq!(community.listed_ids(7).await, [6, 5, 4, 3, 2].map(event_id));
}

pub async fn only_posts_that_others_see_are_listed(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    community.follow(10, 7, 5, 0, true).await;
    let post = post_by(1, 5, 100);
    community.create(&post).await;
    let mut version = community.state(7).await.version;
    let mut grown = async || {
        let now = community.state(7).await.version;
        std::mem::replace(&mut version, now) < now
    };
    assert_eq!(community.unread(7).await, [event_id(1)]);
    let archived =
        community.change(&post, 20, |kept| kept.document.status = PostStatus::Archived).await;
    assert_eq!(community.unread(7).await, []);
    assert_eq!(community.listed(7).await, []);
    assert!(community.inbox.items(&[(UserId(7), event_id(1))]).await.unwrap().is_empty());
    assert!(grown().await);
    let back =
        community.change(&archived, 21, |kept| kept.document.status = PostStatus::Published).await;
    assert_eq!(community.unread(7).await, [event_id(1)], "under the id that it had");
    assert!(grown().await);
    community.read(30, 7, &[1], None).await;
    assert!(grown().await);
    let edited = community.change(&back, 22, |kept| kept.document.title = "Edited".into()).await;
    assert_eq!((community.unread(7).await, community.listed(7).await.len()), (vec![], 1));
    community.change(&edited, 23, |kept| kept.removed = true).await;
    assert_eq!(community.listed(7).await, []);
    assert!(grown().await);
}

pub async fn a_draft_is_listed_by_the_event_of_its_publication(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    community.follow(10, 7, 5, 0, true).await;
    let mut draft = post_by(1, 5, 100);
    draft.document.status = PostStatus::Draft;
    draft.document.published_at = None;
    draft.event = posted(1, &draft.document);
    community.create(&draft).await;
    assert_eq!(community.unread(7).await, []);
    let before = community.state(7).await.version;
    community
        .change(&draft, 20, |kept| {
            kept.document.status = PostStatus::Published;
            kept.document.published_at = Some(at(300));
        })
        .await;
    let listed = community.listed(7).await;
    assert_eq!((listed[0].id, listed[0].created_at), (event_id(20), at(300)));
    assert_eq!(community.unread(7).await, [event_id(20)]);
    assert!(community.state(7).await.version > before);
}

pub async fn old_posts_are_no_longer_listed(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    community.follow(10, 7, 5, 0, true).await;
    community.create(&post_by(1, 5, NOW - 1)).await;
    community.create(&post_by(2, 5, NOW)).await;
    community.put(&[(7, 20, 1, NotificationKind::Commented)]).await;
    (community.pass)(30 * DAY);
    assert_eq!(community.unread(7).await, [2, 20].map(event_id), "what was put stays");
    assert!(community.inbox.items(&[(UserId(7), event_id(1))]).await.unwrap().is_empty());
    (community.pass)(Duration::from_millis(1));
    assert_eq!(community.unread(7).await, [event_id(20)]);
    assert_eq!(community.listed_ids(7).await, [event_id(20)]);
}

/// All of an inbox, read in parts of `limit`.
async fn in_parts(community: &Community, user: i64, unread: bool, limit: usize) -> Vec<EventId> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let part = community.inbox.list(UserId(user), unread, after.as_ref(), limit).await.unwrap();
        assert!(part.len() <= limit);
        let Some(last) = part.last() else { return seen };
        after = Some(Cursor { at: last.created_at, id: last.id.to_string() });
        seen.extend(part.iter().map(|item| item.id));
    }
}

pub async fn both_kinds_of_items_are_merged_in_parts_of_any_size(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    for (n, author) in [(200, 4), (201, 5), (202, 6)] {
        community.follow(n, 7, author, 0, true).await;
    }
    // Three authors and others at three moments each.
    for n in 1..=12 {
        let time = 100 * i64::from(n % 3);
        match n % 4 {
            0 => community.put(&[(7, n.into(), time, NotificationKind::Commented)]).await,
            author => community.create(&post_by(n, 3 + i64::from(author), time)).await,
        }
    }
    let expected = [11, 8, 5, 2, 10, 7, 4, 1, 12, 9, 6, 3].map(event_id);
    for limit in [1, 2, 3, 5, 12, 50] {
        assert_eq!(in_parts(&community, 7, false, limit).await, expected);
    }
    community.read(300, 7, &[8, 2, 10, 9], None).await;
    let unread = [11, 5, 7, 4, 1, 12, 6, 3].map(event_id);
    for limit in [1, 2, 3, 50] {
        assert_eq!(in_parts(&community, 7, true, limit).await, unread);
    }
    community.read(301, 7, &[], Some(100)).await;
    assert_eq!(in_parts(&community, 7, true, 1).await, [11, 5].map(event_id));
    assert_eq!(community.inbox.list(UserId(7), true, None, 0).await.unwrap(), []);
}

/// What the players of the random game did, as far as it decides which posts are listed.
#[derive(Default)]
struct Game {
    posts: Vec<Kept<Post>>,
    /// By follower and author: when each follow began and ended.
    spans: BTreeMap<(i64, i64), Vec<(i64, i64)>>,
    /// What `states` said last, by user.
    last: BTreeMap<i64, (u64, u64)>,
    seed: u64,
}

impl Game {
    fn random(&mut self, below: i64) -> i64 {
        // Knuth's MMIX generator; its high bits are random enough to play with.
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.seed >> 33).unwrap() % below
    }

    /// The posts that an inbox lists, by what the port promises.
    fn expected(&self, user: i64) -> Vec<EventId> {
        let mut listed: Vec<_> = self
            .posts
            .iter()
            .filter(|kept| {
                let published = kept
                    .document
                    .published_at
                    .map_or(i64::MAX, |t| t.since(at(0)).as_millis() as i64);
                let spans = self.spans.get(&(user, kept.document.author.id.0));
                let followed = spans.is_some_and(|spans| {
                    spans.iter().any(|(from, to)| (*from..*to).contains(&published))
                });
                followed && !kept.removed && kept.document.status == PostStatus::Published
            })
            .map(|kept| kept.document.id)
            .collect();
        listed.sort_unstable();
        // The post `n` was published by the event `n`.
        (1..)
            .map(event_id)
            .zip((1..=250).map(super::post_id))
            .filter(|(_, id)| listed.contains(id))
            .map(|(event, _)| event)
            .collect()
    }

    async fn turn(&mut self, community: &Community, n: u16, time: i64) {
        let (user, other) = (1 + self.random(3), 1 + self.random(3));
        match self.random(9) {
            0 | 1 if self.posts.len() < 200 => {
                let number = u8::try_from(self.posts.len() + 1).unwrap();
                let post = post_by(number, other, time);
                community.create(&post).await;
                self.posts.push(post);
            }
            2 | 3 if !self.posts.is_empty() => {
                let at =
                    usize::try_from(self.random(i64::try_from(self.posts.len()).unwrap())).unwrap();
                let what = self.random(6);
                let after = community
                    .change(&self.posts[at], n, |kept| match what {
                        0 => kept.removed = true,
                        1 | 2 => kept.document.status = PostStatus::Archived,
                        3 => kept.document.title = n.to_string(),
                        _ => kept.document.status = PostStatus::Published,
                    })
                    .await;
                self.posts[at] = after;
            }
            4 | 5 => {
                let on = self.random(2) == 0;
                community.follow(n, user, other, time, on).await;
                let spans = self.spans.entry((user, other)).or_default();
                match (spans.last_mut(), on) {
                    (Some(last), false) if last.1 == i64::MAX => last.1 = time,
                    (Some(last), true) if last.1 == i64::MAX => {}
                    (_, true) => spans.push((time, i64::MAX)),
                    (_, false) => {}
                }
            }
            6 => {
                let kind = usize::try_from(self.random(4)).unwrap();
                let kind = NotificationKind::ALL[kind];
                let late = self.random(5);
                community.put(&[(user, n, time - late, kind)]).await;
            }
            7 => {
                let items = community.listed(user).await;
                let through = (self.random(3) == 0).then(|| time - 10);
                let ids =
                    items.iter().filter(|_| self.random(3) == 0).map(|item| item.id).collect();
                let read = crate::domain::event::InboxRead { ids, through: through.map(at) };
                let fact = crate::domain::event::Fact::NotificationRead(read.clone());
                let event = super::community::event_by(n, user, time, fact);
                let last = community.inbox.last_read(UserId(user)).await.unwrap();
                let expected = last.map(|event| event.id);
                let marked = community.inbox.mark_read(UserId(user), &read, &event, expected).await;
                assert!(marked.unwrap());
            }
            _ if self.random(4) == 0 => {
                let kind = usize::try_from(self.random(5)).unwrap();
                community.mute(user, &NotificationKind::ALL[kind..=kind]).await;
            }
            _ => {
                community.mute(user, &[]).await;
                if let Some(latest) = community.listed(user).await.first() {
                    community.inbox.mark_seen(UserId(user), latest).await.unwrap();
                }
            }
        }
    }

    async fn check(&mut self, community: &Community, user: i64) {
        let listed = community.listed(user).await;
        let unread: Vec<_> = listed.iter().filter(|item| !item.read).map(|item| item.id).collect();
        assert_eq!(community.unread(user).await, unread);
        assert_eq!(in_parts(community, user, false, 7).await.len(), listed.len());
        let pairs: Vec<_> = listed.iter().map(|item| (UserId(user), item.id)).collect();
        let items = community.inbox.items(&pairs).await.unwrap();
        assert!(listed.iter().all(|item| items[&(UserId(user), item.id)] == *item));
        let preferences = community.inbox.preferences(UserId(user)).await.unwrap();
        if preferences.wants(NotificationKind::Posted) {
            let mut posts: Vec<_> = listed
                .iter()
                .filter(|item| item.r#type == NotificationKind::Posted)
                .map(|item| item.id)
                .collect();
            posts.sort_unstable();
            assert_eq!(posts, self.expected(user));
        }
        let state = community.state(user).await;
        let last = self.last.insert(user, (state.version, state.unread_count));
        if let Some((version, unread)) = last {
            assert!(state.version >= version, "{state:?} after {version}");
            assert!(state.version > version || state.unread_count == unread, "{state:?}");
        }
    }
}

pub async fn whatever_happens_the_unread_are_counted_as_listed_and_versions_grow(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    let mut game = Game { seed: 42, ..Game::default() };
    for n in 0..400 {
        // Several turns happen within a millisecond.
        let time = i64::from(n) / 2 + 1_000;
        game.turn(&community, 1_000 + n, time).await;
        for user in 1..=3 {
            game.check(&community, user).await;
        }
    }
    assert!(game.posts.len() > 30 && game.last.values().all(|(version, _)| *version > 30));
    let likes = key(1, Mark::Like(super::post_id(1)));
    assert_eq!(community.marks.mark(&likes).await.unwrap(), None);
}
