//! What adapters of [`Inbox`](crate::ports::inbox::Inbox) are held to: what is put there and read.

use std::collections::BTreeMap;

use crate::domain::event::{Event, Fact, InboxRead};
use crate::domain::ids::{EventId, UserId};
use crate::domain::notification::{InboxState, Notification, NotificationKind};
use crate::domain::preferences::{NotificationPreferences, Preferences, Theme};

use super::community::{Community, event_by, notice, post_by};
use super::{at, event_id, race};

use NotificationKind::{Commented, Followed, Liked, Mentioned, Posted};

/// Makes a test of each promise.
macro_rules! inbox_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::inbox,
            $factory,
            [
                what_is_put_is_listed_latest_first,
                what_is_there_is_not_put_again,
                what_is_told_once_is_told_once,
                what_several_put_at_once_is_counted_once,
                news_and_readings_at_once_leave_the_count_as_listed,
                what_is_not_wanted_is_neither_put_nor_listed,
                items_are_read_one_by_one_or_up_to_a_moment,
                reading_is_refused_unless_the_last_event_is_expected,
                of_racing_readings_one_succeeds,
                what_arrives_after_a_reading_was_not_read,
                what_was_listed_is_seen,
                preferences_are_kept,
                an_inbox_that_was_never_used_is_all_zeroes,
            ]
        );
    };
}
pub(crate) use inbox_contract;

/// What a user reads by the event `n`: items by the numbers of their events, and all up to a moment.
pub(crate) fn reading(n: u16, user: i64, ids: &[u16], through: Option<i64>) -> (InboxRead, Event) {
    let read =
        InboxRead { ids: ids.iter().copied().map(event_id).collect(), through: through.map(at) };
    let event = event_by(n, user, i64::from(n), Fact::NotificationRead(read.clone()));
    (read, event)
}

impl Community {
    /// Reads items, whatever was read before.
    pub(crate) async fn read(&self, n: u16, user: i64, ids: &[u16], through: Option<i64>) {
        let (read, event) = reading(n, user, ids, through);
        let expected = self.inbox.last_read(UserId(user)).await.unwrap().map(|event| event.id);
        let marked = self.inbox.mark_read(UserId(user), &read, &event, expected).await;
        assert!(marked.unwrap());
        assert_eq!(self.inbox.last_read(UserId(user)).await.unwrap(), Some(event));
    }

    pub(crate) async fn put(&self, notices: &[(i64, u16, i64, NotificationKind)]) {
        let notices: Vec<_> =
            notices.iter().map(|(user, n, time, kind)| notice(*user, *n, *time, *kind)).collect();
        self.inbox.put(&notices).await.unwrap();
    }

    pub(crate) async fn listed(&self, user: i64) -> Vec<Notification> {
        self.inbox.list(UserId(user), false, None, 999).await.unwrap()
    }

    pub(crate) async fn unread(&self, user: i64) -> Vec<EventId> {
        let unread = self.inbox.list(UserId(user), true, None, 999).await.unwrap();
        assert!(unread.iter().all(|item| !item.read));
        let ids: Vec<_> = unread.into_iter().map(|item| item.id).collect();
        assert_eq!(self.state(user).await.unread_count, u64::try_from(ids.len()).unwrap());
        ids
    }

    pub(crate) async fn state(&self, user: i64) -> InboxState {
        self.inbox.states(&[UserId(user)]).await.unwrap()[&UserId(user)]
    }

    pub(crate) async fn mute(&self, user: i64, kinds: &[NotificationKind]) {
        let types: BTreeMap<_, _> = kinds.iter().map(|kind| (*kind, false)).collect();
        let notifications = NotificationPreferences { types, ..Default::default() };
        let preferences = Preferences { notifications, ..Default::default() };
        self.inbox.put_preferences(UserId(user), &preferences).await.unwrap();
    }
}

fn ids(items: &[Notification]) -> Vec<EventId> {
    items.iter().map(|item| item.id).collect()
}

pub async fn what_is_put_is_listed_latest_first(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    let put = [
        (1, 12, 50, Liked),
        (1, 10, 70, Commented),
        (1, 11, 60, Mentioned),
        (1, 14, 60, Followed),
        (2, 12, 50, Commented),
    ];
    community.put(&put).await;
    community.inbox.put(&[]).await.unwrap();
    let expected: Vec<_> = [put[1], put[3], put[2], put[0]]
        .map(|(user, n, time, kind)| notice(user, n, time, kind).notification)
        .into();
    assert_eq!(community.listed(1).await, expected);
    assert_eq!(community.listed(2).await, [notice(2, 12, 50, Commented).notification]);
    assert_eq!(community.listed(3).await, []);
    let pair = |user, n| (UserId(user), event_id(n));
    let wanted = [pair(1, 11), pair(1, 99), pair(2, 11), pair(2, 12), pair(9, 12)];
    let items = community.inbox.items(&wanted).await.unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[&pair(1, 11)], expected[2]);
    assert_eq!(items[&pair(2, 12)].r#type, Commented);
    assert!(community.inbox.items(&[]).await.unwrap().is_empty());
}

pub async fn what_is_there_is_not_put_again(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    community.put(&[(1, 10, 50, Commented), (1, 10, 50, Commented)]).await;
    let before = community.state(1).await;
    assert_eq!(before.unread_count, 1);
    community.read(90, 1, &[10], None).await;
    let read = community.state(1).await;
    assert!(read.version > before.version);
    community.put(&[(1, 10, 50, Commented), (1, 10, 60, Mentioned)]).await;
    assert_eq!(community.state(1).await, read);
    assert_eq!(ids(&community.listed(1).await), [event_id(10)]);
    assert_eq!(community.unread(1).await, []);
}

pub async fn what_is_told_once_is_told_once(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    let told = [(1, 10, 50, Liked), (1, 11, 51, Liked), (1, 12, 52, Followed)];
    community.put(&told).await;
    community.put(&[(1, 13, 53, Followed), (1, 14, 54, Liked), (1, 15, 55, Commented)]).await;
    community.put(&[(1, 16, 56, Commented), (2, 17, 57, Liked)]).await;
    let expected = [16, 15, 12, 10].map(event_id);
    assert_eq!(community.unread(1).await, expected);
    assert_eq!(community.unread(2).await, [event_id(17)]);
    // Another actor, and another post, are told of.
    let mut other = notice(1, 18, 58, Liked);
    other.notification.actor.id = UserId(8);
    let mut elsewhere = notice(1, 19, 59, Liked);
    elsewhere.notification.post_id = Some(super::post_id(2));
    community.inbox.put(&[other, elsewhere]).await.unwrap();
    assert_eq!(community.unread(1).await[..2], [19, 18].map(event_id));
    let same = race(|n| {
        let (inbox, one) = (community.inbox.clone(), notice(3, 20 + u16::from(n), 5, Followed));
        async move { inbox.put(&[one]).await.unwrap() }
    });
    same.await;
    assert_eq!(community.unread(3).await.len(), 1);
}

pub async fn what_several_put_at_once_is_counted_once(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    community.put(&[(1, 9, 40, Commented)]).await;
    // As of relays that finish what another one left while that goes on, each with something of its own.
    let racers = race(|n| {
        let inbox = community.inbox.clone();
        let shared = (10..15).map(|n| notice(1, n, 50, Commented));
        let own = [notice(1, 100 + u16::from(n), 60, Mentioned), notice(2, 10, 50, Commented)];
        let notices: Vec<_> = shared.chain(own).collect();
        async move { inbox.put(&notices).await.unwrap() }
    });
    let told = racers.await;
    let all = 1 + 5 + told.len();
    assert_eq!(community.unread(1).await.len(), all);
    assert_eq!(community.unread(2).await, [event_id(10)]);
    let before = community.state(1).await;
    community.put(&[(1, 10, 50, Commented), (1, 100, 60, Mentioned)]).await;
    assert_eq!(community.state(1).await, before);
    community.put(&[(1, 11, 50, Commented), (1, 200, 70, Commented)]).await;
    let after = community.state(1).await;
    assert!(after.version > before.version);
    assert_eq!(community.unread(1).await.len(), all + 1);
}

pub async fn news_and_readings_at_once_leave_the_count_as_listed(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    for round in 0..4_u16 {
        let racers = race(|n| {
            let (inbox, n) = (community.inbox.clone(), u16::from(n));
            async move {
                let first = 1_000 + 100 * round + 10 * n;
                let time = i64::from(round) * 10 + i64::from(n % 4);
                let news = [first, first + 1].map(|n| notice(1, n, time, Commented));
                inbox.put(&news).await.unwrap();
                // Every other one reads what it put, or all up to then, unless somebody else reads first.
                let through = (n % 4 == 0).then_some(time);
                let ids: &[u16] = if n % 4 == 2 { &[first] } else { &[] };
                if n % 2 == 0 {
                    let (read, event) = reading(first + 5, 1, ids, through);
                    let last = inbox.last_read(UserId(1)).await.unwrap().map(|event| event.id);
                    inbox.mark_read(UserId(1), &read, &event, last).await.unwrap();
                }
                inbox.put(&news).await.unwrap();
            }
        });
        racers.await;
        let before = community.unread(1).await;
        community.put(&[(1, 900 + round, 1_000, Commented)]).await;
        assert_eq!(community.unread(1).await.len(), before.len() + 1);
    }
    community.mute(1, &[Commented]).await;
    assert_eq!(community.unread(1).await, []);
    community.mute(1, &[]).await;
    assert!(!community.unread(1).await.is_empty());
    community.read(5_000, 1, &[], Some(2_000)).await;
    assert_eq!(community.unread(1).await, []);
}

pub async fn what_is_not_wanted_is_neither_put_nor_listed(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    community.put(&[(1, 10, 50, Liked), (1, 11, 51, Commented)]).await;
    let before = community.state(1).await;
    community.mute(1, &[Liked, Mentioned]).await;
    let muted = community.state(1).await;
    assert!(muted.version > before.version);
    community.put(&[(1, 12, 52, Mentioned), (2, 12, 52, Mentioned)]).await;
    assert_eq!(community.state(1).await, muted, "nothing was put");
    assert_eq!(community.unread(1).await, [event_id(11)]);
    assert_eq!(ids(&community.listed(1).await), [event_id(11)]);
    let pairs = [10, 11].map(|n| (UserId(1), event_id(n)));
    assert_eq!(community.inbox.items(&pairs).await.unwrap().len(), 1);
    assert_eq!(community.unread(2).await, [event_id(12)]);
    // Wanted again, what was there before is listed again.
    community.mute(1, &[Mentioned]).await;
    assert_eq!(community.unread(1).await, [11, 10].map(event_id));
    // Read while it was muted, it stays read.
    community.mute(1, &[Commented]).await;
    community.read(90, 1, &[], Some(51)).await;
    community.mute(1, &[]).await;
    assert_eq!(community.unread(1).await, []);
    // Posts of others are a kind as well.
    community.follow(20, 1, 5, 60, true).await;
    community.create(&post_by(30, 5, 61)).await;
    assert_eq!(community.unread(1).await, [event_id(30)]);
    community.mute(1, &[Posted]).await;
    assert_eq!(community.unread(1).await, []);
    assert_eq!(community.listed(1).await.len(), 2);
    assert!(community.inbox.items(&[(UserId(1), event_id(30))]).await.unwrap().is_empty());
}

pub async fn items_are_read_one_by_one_or_up_to_a_moment(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    community.follow(1, 1, 5, 0, true).await;
    for (n, time) in [(10, 50), (12, 52), (14, 54)] {
        community.put(&[(1, u16::from(n), time, Commented)]).await;
        community.create(&post_by(n + 1, 5, time + 1)).await;
    }
    assert_eq!(community.unread(1).await, [15, 14, 13, 12, 11, 10].map(event_id));
    // Of what is not there, nothing happens; what is read stays so.
    community.read(90, 1, &[12, 13, 99, 12], None).await;
    assert_eq!(community.unread(1).await, [15, 14, 11, 10].map(event_id));
    community.read(91, 1, &[13, 12], None).await;
    assert_eq!(community.unread(1).await, [15, 14, 11, 10].map(event_id));
    let listed = community.listed(1).await;
    let read: Vec<_> = listed.iter().filter(|item| item.read).map(|item| item.id).collect();
    assert_eq!((listed.len(), read), (6, [13, 12].map(event_id).into()));
    community.read(92, 1, &[15], Some(53)).await;
    assert_eq!(community.unread(1).await, [event_id(14)]);
    // An earlier moment changes nothing.
    community.read(93, 1, &[], Some(51)).await;
    assert_eq!(community.unread(1).await, [event_id(14)]);
    community.read(94, 1, &[], Some(54)).await;
    assert_eq!(community.unread(1).await, []);
    assert!(community.listed(1).await.iter().all(|item| item.read));
    // What is not in one's own inbox is passed over.
    community.read(95, 2, &[15, 14], None).await;
    assert_eq!((community.unread(2).await, community.listed(2).await), (vec![], vec![]));
}

pub async fn reading_is_refused_unless_the_last_event_is_expected(
    factory: impl AsyncFnOnce() -> Community,
) {
    let community = factory().await;
    let mark = async |n, ids: &[u16], expected| {
        let (read, event) = reading(n, 1, ids, None);
        community.inbox.mark_read(UserId(1), &read, &event, expected).await.unwrap()
    };
    assert!(!mark(90, &[10], Some(event_id(9))).await, "there is no inbox yet");
    assert_eq!(community.inbox.last_read(UserId(1)).await.unwrap(), None);
    assert_eq!(community.state(1).await, InboxState::default());
    community.put(&[(1, 10, 50, Commented), (1, 11, 51, Commented)]).await;
    assert!(!mark(90, &[10], Some(event_id(9))).await, "nothing was read yet");
    assert_eq!(community.unread(1).await.len(), 2);
    assert!(mark(91, &[10], None).await);
    let before = community.state(1).await;
    assert!(!mark(92, &[11], None).await);
    assert!(!mark(92, &[11], Some(event_id(90))).await);
    assert_eq!(community.state(1).await, before);
    assert_eq!(
        community.inbox.last_read(UserId(1)).await.unwrap(),
        Some(reading(91, 1, &[10], None).1)
    );
    assert!(mark(92, &[11], Some(event_id(91))).await);
    assert_eq!(community.unread(1).await, []);
}

pub async fn of_racing_readings_one_succeeds(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    for n in 0..16 {
        community.put(&[(1, 10 + n, 50, Commented)]).await;
    }
    let racers = race(|n| {
        let inbox = community.inbox.clone();
        let (read, event) = reading(100 + u16::from(n), 1, &[10 + u16::from(n)], None);
        async move { inbox.mark_read(UserId(1), &read, &event, None).await.unwrap() }
    });
    assert_eq!(racers.await.iter().filter(|won| **won).count(), 1);
    assert_eq!(community.unread(1).await.len(), 15);
}

pub async fn what_arrives_after_a_reading_was_not_read(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    community.read(90, 1, &[], Some(60)).await;
    // One of them happened before the latest that was read, and arrives late all the same.
    community.put(&[(1, 10, 59, Commented), (1, 11, 61, Commented)]).await;
    assert_eq!(community.unread(1).await, [event_id(11), event_id(10)]);
    assert_eq!(community.state(1).await.unread_count, 2);
    community.put(&[(1, 10, 59, Commented)]).await;
    assert_eq!(community.unread(1).await, [event_id(11), event_id(10)], "each once");
    community.read(91, 1, &[], Some(61)).await;
    assert_eq!(community.unread(1).await, []);
}

pub async fn what_was_listed_is_seen(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    community.follow(1, 1, 5, 0, true).await;
    community.put(&[(1, 10, 50, Commented), (1, 12, 51, Commented)]).await;
    community.create(&post_by(11, 5, 51)).await;
    let seen = async || {
        let listed = community.listed(1).await.into_iter();
        listed.filter(|item| item.seen).map(|item| item.id).collect::<Vec<_>>()
    };
    assert_eq!(seen().await, []);
    let listed = community.listed(1).await;
    assert_eq!(ids(&listed), [12, 11, 10].map(event_id));
    // Items of one time are told apart.
    community.inbox.mark_seen(UserId(1), &listed[1]).await.unwrap();
    assert_eq!(seen().await, [11, 10].map(event_id));
    community.inbox.mark_seen(UserId(1), &listed[2]).await.unwrap();
    assert_eq!(seen().await, [11, 10].map(event_id));
    community.inbox.mark_seen(UserId(1), &listed[0]).await.unwrap();
    assert_eq!(seen().await, [12, 11, 10].map(event_id));
    community.put(&[(1, 13, 52, Commented)]).await;
    assert_eq!(seen().await, [12, 11, 10].map(event_id));
    assert_eq!(community.unread(1).await.len(), 4, "seen is not read");
    let items = community.inbox.items(&[12, 11, 13].map(|n| (UserId(1), event_id(n)))).await;
    let items = items.unwrap();
    let seen = |n| items[&(UserId(1), event_id(n))].seen;
    assert_eq!((seen(12), seen(11), seen(13)), (true, true, false));
    // Another's inbox knows nothing of it.
    community.inbox.mark_seen(UserId(2), &listed[0]).await.unwrap();
    assert_eq!(community.state(2).await.unread_count, 0);
}

pub async fn preferences_are_kept(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    assert_eq!(community.inbox.preferences(UserId(1)).await.unwrap(), Preferences::default());
    for (theme, email) in [(Theme::Light, false), (Theme::System, true)] {
        let types = [(Liked, email), (Posted, !email)].into();
        let notifications = NotificationPreferences { email, push: !email, types };
        let preferences = Preferences { theme, notifications };
        community.inbox.put_preferences(UserId(1), &preferences).await.unwrap();
        assert_eq!(community.inbox.preferences(UserId(1)).await.unwrap(), preferences);
    }
    assert_eq!(community.inbox.preferences(UserId(2)).await.unwrap(), Preferences::default());
}

pub async fn an_inbox_that_was_never_used_is_all_zeroes(factory: impl AsyncFnOnce() -> Community) {
    let community = factory().await;
    let users = [UserId(1), UserId(2)];
    let states = community.inbox.states(&users).await.unwrap();
    assert_eq!(states.len(), 2);
    assert!(states.values().all(|state| *state == InboxState::default()));
    assert_eq!(community.inbox.last_read(UserId(1)).await.unwrap(), None);
    assert!(community.inbox.states(&[]).await.unwrap().is_empty());
}
