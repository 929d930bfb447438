//! What adapters of [`Broker`] are held to.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::domain::channel::ChannelName;
use crate::domain::ids::EventId;
use crate::domain::publication::{
    Delivery, Json, Passage, PassageKind, PublicationBody, StreamPosition,
};
use crate::ports::broker::{Arriving, Broker, HistoryPage, HistoryQuery, Outgoing, Retention};

use super::presence::info;
use super::{event_id, published, race};

/// Makes a test of each promise.
macro_rules! broker_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::broker,
            $factory,
            [
                a_batch_takes_place_in_its_order_and_each_channel_counts_from_one,
                deliveries_come_in_the_order_of_offsets_under_concurrent_publishers,
                the_same_event_again_changes_nothing,
                of_racing_publishers_of_one_event_one_changes_something,
                an_event_that_the_history_lost_is_published_anew,
                publications_without_an_event_are_each_new,
                the_history_keeps_the_latest_of_its_size,
                the_history_keeps_none_older_than_its_ttl,
                a_page_is_what_the_query_asks_for,
                only_subscribed_channels_are_delivered,
                a_channel_never_published_to_begins_its_first_epoch,
                what_is_cleared_is_forgotten_and_offsets_go_on,
                who_comes_and_goes_is_told_in_order_and_kept_nowhere,
            ]
        );
    };
}
pub(crate) use broker_contract;

/// A broker under test.
pub struct BrokerSubject {
    /// The adapter.
    pub broker: Arc<dyn Broker>,
    /// Where it delivers to.
    pub deliveries: mpsc::Receiver<Arriving>,
    /// Lets time pass for the broker.
    pub pass: Box<dyn Fn(Duration) + Send + Sync>,
    /// What has to outlive it.
    pub keep: Box<dyn Any + Send>,
}

const TTL: Duration = Duration::from_secs(60);
pub(super) const KEPT: Retention = Retention { size: 4, ttl: TTL };
pub(super) const ALL: HistoryQuery =
    HistoryQuery { since: None, limit: usize::MAX, reverse: false };

fn body(text: &str) -> Arc<PublicationBody> {
    let data = Json::from_value(&text).unwrap();
    Arc::new(PublicationBody { data, info: None, tags: [].into(), delta: false })
}

fn text(body: &PublicationBody) -> String {
    serde_json::from_str(body.data.get()).unwrap()
}

pub(super) fn outgoing(
    channel: &ChannelName,
    event: Option<u16>,
    retention: Option<Retention>,
) -> Outgoing {
    let said = event.map_or("none".to_owned(), |n| n.to_string());
    Outgoing {
        channel: channel.clone(),
        event: event.map(event_id),
        body: body(&said),
        retention,
        version: None,
    }
}

async fn publish(broker: &dyn Broker, channel: &ChannelName, n: u16) -> StreamPosition {
    let places = broker.publish(&[outgoing(channel, Some(n), Some(KEPT))]).await.unwrap();
    assert_eq!(places.len(), 1);
    places[0].clone().unwrap()
}

pub(super) async fn history(
    broker: &dyn Broker,
    channel: &ChannelName,
    query: &HistoryQuery,
) -> HistoryPage {
    broker.history(channel, KEPT, query).await.unwrap()
}

pub(super) fn offsets(page: &HistoryPage) -> Vec<u64> {
    page.publications.iter().map(|publication| publication.offset).collect()
}

fn events(page: &HistoryPage) -> Vec<Option<EventId>> {
    page.publications.iter().map(|publication| publication.event).collect()
}

pub(super) async fn next(deliveries: &mut mpsc::Receiver<Arriving>) -> Delivery {
    published(arriving(deliveries).await)
}

async fn arriving(deliveries: &mut mpsc::Receiver<Arriving>) -> Arriving {
    let wait = tokio::time::timeout(Duration::from_secs(10), deliveries.recv());
    wait.await.expect("a delivery is due").expect("the broker lives")
}

pub async fn a_batch_takes_place_in_its_order_and_each_channel_counts_from_one(
    factory: impl AsyncFnOnce() -> BrokerSubject,
) {
    let subject = factory().await;
    let (feed, tag) = (ChannelName::feed(), ChannelName::tag("rust"));
    let batch = [
        outgoing(&feed, Some(1), Some(KEPT)),
        outgoing(&tag, Some(1), Some(KEPT)),
        outgoing(&feed, Some(2), Some(KEPT)),
    ];
    let places = subject.broker.publish(&batch).await.unwrap();
    let offsets: Vec<_> = places.iter().map(|place| place.as_ref().unwrap().offset).collect();
    assert_eq!(offsets, [1, 1, 2]);
    assert_eq!(places[0].as_ref().unwrap().epoch, places[2].as_ref().unwrap().epoch);
    let page = history(&*subject.broker, &feed, &ALL).await;
    assert_eq!(Some(page.top), places[2]);
    assert_eq!(subject.broker.publish(&[]).await.unwrap(), []);
}

pub async fn deliveries_come_in_the_order_of_offsets_under_concurrent_publishers(
    factory: impl AsyncFnOnce() -> BrokerSubject,
) {
    const EACH: u16 = 25;
    let BrokerSubject { broker, mut deliveries, keep: _keep, .. } = factory().await;
    let feed = ChannelName::feed();
    broker.subscribe(&feed).await.unwrap();
    let drain = tokio::spawn(async move {
        let mut arrived = Vec::new();
        for _ in 0..16 * EACH {
            arrived.push(next(&mut deliveries).await);
        }
        arrived
    });
    let publisher = Arc::clone(&broker);
    let placed = race(move |racer| {
        let broker = Arc::clone(&publisher);
        async move {
            let mut placed = Vec::new();
            for n in 0..EACH {
                let place =
                    publish(&*broker, &ChannelName::feed(), u16::from(racer) * EACH + n).await;
                placed.push(place);
            }
            placed
        }
    })
    .await;
    let arrived = drain.await.unwrap();
    let offsets: Vec<_> = arrived.iter().map(|delivery| delivery.publication.offset).collect();
    assert_eq!(offsets, Vec::from_iter(1..=u64::from(16 * EACH)));
    let epochs: BTreeSet<_> = arrived.iter().map(|delivery| delivery.epoch.clone()).collect();
    assert_eq!(epochs.len(), 1);
    for (racer, places) in placed.iter().enumerate() {
        assert!(places.is_sorted(), "what one publishes later comes later");
        for (n, place) in places.iter().enumerate() {
            let delivery = &arrived[usize::try_from(place.offset).unwrap() - 1];
            let number = u16::try_from(racer).unwrap() * EACH + u16::try_from(n).unwrap();
            assert_eq!(delivery.publication.event, Some(event_id(number)));
            assert_eq!(text(&delivery.publication.body), number.to_string());
            assert_eq!(delivery.epoch.as_ref(), Some(&place.epoch));
        }
    }
}

pub async fn the_same_event_again_changes_nothing(factory: impl AsyncFnOnce() -> BrokerSubject) {
    let BrokerSubject { broker, mut deliveries, keep: _keep, .. } = factory().await;
    let (feed, tag) = (ChannelName::feed(), ChannelName::tag("rust"));
    broker.subscribe(&feed).await.unwrap();
    broker.subscribe(&tag).await.unwrap();
    let first = publish(&*broker, &feed, 1).await;
    let second = publish(&*broker, &feed, 2).await;
    // A batch that is tried again holds what took place and what did not.
    let batch = [1, 2, 3, 3].map(|n| outgoing(&feed, Some(n), Some(KEPT)));
    let places = broker.publish(&batch).await.unwrap();
    assert_eq!(places[..2], [Some(first.clone()), Some(second)]);
    assert_eq!(places[2].as_ref().unwrap().offset, 3);
    assert_eq!(places[2], places[3]);
    // Another channel has not had it.
    assert_eq!(publish(&*broker, &tag, 1).await.offset, 1);
    // Each channel has its order; that of the two is nobody's promise.
    let mut arrived = Vec::new();
    for _ in 0..4 {
        let delivery = next(&mut deliveries).await;
        arrived.push((delivery.channel, delivery.publication.offset));
    }
    arrived.sort_by_key(|(channel, _)| *channel == tag);
    let on_feed = (1..=3).map(|offset| (feed.clone(), offset));
    assert_eq!(arrived, on_feed.chain([(tag, 1)]).collect::<Vec<_>>());
    let page = history(&*broker, &feed, &ALL).await;
    assert_eq!((page.top.offset, offsets(&page)), (3, vec![1, 2, 3]));
    assert!(deliveries.try_recv().is_err());
}

pub async fn of_racing_publishers_of_one_event_one_changes_something(
    factory: impl AsyncFnOnce() -> BrokerSubject,
) {
    let BrokerSubject { broker, mut deliveries, keep: _keep, .. } = factory().await;
    let feed = ChannelName::feed();
    broker.subscribe(&feed).await.unwrap();
    let publisher = Arc::clone(&broker);
    let places = race(move |_| {
        let broker = Arc::clone(&publisher);
        async move { publish(&*broker, &ChannelName::feed(), 7).await }
    })
    .await;
    assert!(places.iter().all(|place| *place == places[0] && place.offset == 1));
    assert_eq!(publish(&*broker, &feed, 8).await.offset, 2);
    for offset in 1..=2 {
        assert_eq!(next(&mut deliveries).await.publication.offset, offset);
    }
}

pub async fn an_event_that_the_history_lost_is_published_anew(
    factory: impl AsyncFnOnce() -> BrokerSubject,
) {
    let subject = factory().await;
    let feed = ChannelName::feed();
    for n in 1..=5 {
        publish(&*subject.broker, &feed, n).await;
    }
    assert_eq!(publish(&*subject.broker, &feed, 1).await.offset, 6);
    assert_eq!(publish(&*subject.broker, &feed, 3).await.offset, 3, "the history holds it");
}

pub async fn publications_without_an_event_are_each_new(
    factory: impl AsyncFnOnce() -> BrokerSubject,
) {
    let subject = factory().await;
    let feed = ChannelName::feed();
    let batch = [outgoing(&feed, None, Some(KEPT)), outgoing(&feed, None, Some(KEPT))];
    let places = subject.broker.publish(&batch).await.unwrap();
    let offsets: Vec<_> = places.iter().map(|place| place.as_ref().unwrap().offset).collect();
    assert_eq!(offsets, [1, 2]);
}

pub async fn the_history_keeps_the_latest_of_its_size(
    factory: impl AsyncFnOnce() -> BrokerSubject,
) {
    let subject = factory().await;
    let feed = ChannelName::feed();
    for n in 1..=4 {
        publish(&*subject.broker, &feed, n).await;
    }
    let page = history(&*subject.broker, &feed, &ALL).await;
    assert_eq!((page.oldest, offsets(&page)), (1, vec![1, 2, 3, 4]));
    publish(&*subject.broker, &feed, 5).await;
    let page = history(&*subject.broker, &feed, &ALL).await;
    assert_eq!((page.oldest, page.top.offset, offsets(&page)), (2, 5, vec![2, 3, 4, 5]));
    assert_eq!(events(&page), [2, 3, 4, 5].map(|n| Some(event_id(n))));
}

pub async fn the_history_keeps_none_older_than_its_ttl(
    factory: impl AsyncFnOnce() -> BrokerSubject,
) {
    let subject = factory().await;
    let feed = ChannelName::feed();
    let half = TTL / 2;
    let first = publish(&*subject.broker, &feed, 1).await;
    (subject.pass)(half);
    publish(&*subject.broker, &feed, 2).await;
    let page = history(&*subject.broker, &feed, &ALL).await;
    assert_eq!(offsets(&page), [1, 2]);
    (subject.pass)(half + Duration::from_secs(1));
    let page = history(&*subject.broker, &feed, &ALL).await;
    assert_eq!((page.oldest, offsets(&page)), (2, vec![2]));
    (subject.pass)(TTL);
    let page = history(&*subject.broker, &feed, &ALL).await;
    assert_eq!((page.oldest, offsets(&page)), (3, vec![]), "the one after the top");
    // The stream goes on where it was.
    assert_eq!(page.top, StreamPosition { offset: 2, ..first.clone() });
    assert_eq!(publish(&*subject.broker, &feed, 3).await, StreamPosition { offset: 3, ..first });
}

pub async fn a_page_is_what_the_query_asks_for(factory: impl AsyncFnOnce() -> BrokerSubject) {
    let subject = factory().await;
    let feed = ChannelName::feed();
    for n in 1..=6 {
        publish(&*subject.broker, &feed, n).await;
    }
    for (since, limit, reverse, expected) in [
        (None, 9, false, &[3, 4, 5, 6][..]),
        (None, 2, false, &[3, 4]),
        (None, 2, true, &[6, 5]),
        (Some(4), 9, false, &[5, 6]),
        (Some(4), 1, false, &[5]),
        (Some(5), 9, true, &[4, 3]),
        (Some(5), 1, true, &[4]),
        (Some(6), 9, false, &[]),
        (Some(3), 9, true, &[]),
        (Some(0), 9, false, &[3, 4, 5, 6]),
        (Some(u64::MAX), 9, false, &[]),
        (Some(u64::MAX), 1, true, &[6]),
        (None, 0, false, &[]),
        (Some(4), 0, true, &[]),
    ] {
        let query = HistoryQuery { since, limit, reverse };
        let page = history(&*subject.broker, &feed, &query).await;
        assert_eq!(offsets(&page), expected, "{query:?}");
        assert_eq!((page.top.offset, page.oldest), (6, 3), "{query:?}");
    }
}

pub async fn only_subscribed_channels_are_delivered(factory: impl AsyncFnOnce() -> BrokerSubject) {
    let BrokerSubject { broker, mut deliveries, keep: _keep, .. } = factory().await;
    let (feed, mark) = (ChannelName::feed(), ChannelName::tag("mark"));
    broker.subscribe(&mark).await.unwrap();
    publish(&*broker, &feed, 1).await;
    broker.subscribe(&feed).await.unwrap();
    broker.subscribe(&feed).await.unwrap();
    let second = publish(&*broker, &feed, 2).await;
    let delivery = next(&mut deliveries).await;
    assert_eq!((&delivery.channel, delivery.publication.event), (&feed, Some(event_id(2))));
    assert_eq!((delivery.publication.offset, delivery.epoch), (2, Some(second.epoch)));
    broker.unsubscribe(&feed).await.unwrap();
    broker.unsubscribe(&feed).await.unwrap();
    publish(&*broker, &feed, 3).await;
    for n in 1..=2 {
        publish(&*broker, &mark, n).await;
        let delivery = next(&mut deliveries).await;
        assert_eq!((&delivery.channel, delivery.publication.event), (&mark, Some(event_id(n))));
    }
    assert!(deliveries.try_recv().is_err());
    // What was not delivered is in the history all the same.
    assert_eq!(offsets(&history(&*broker, &feed, &ALL).await), [1, 2, 3]);
}

pub async fn a_channel_never_published_to_begins_its_first_epoch(
    factory: impl AsyncFnOnce() -> BrokerSubject,
) {
    let subject = factory().await;
    let feed = ChannelName::feed();
    let page = history(&*subject.broker, &feed, &ALL).await;
    assert_eq!((page.top.offset, page.seeded_through, page.oldest), (0, 0, 1));
    assert_eq!(page.publications, []);
    (subject.pass)(Duration::from_secs(1));
    let later = history(&*subject.broker, &feed, &ALL).await;
    assert!(later.age >= page.age);
    assert_eq!(HistoryPage { age: page.age, ..later }, page, "it began only once");
    let first = publish(&*subject.broker, &feed, 1).await;
    assert_eq!(first, StreamPosition { offset: 1, ..page.top });
}

pub async fn what_is_cleared_is_forgotten_and_offsets_go_on(
    factory: impl AsyncFnOnce() -> BrokerSubject,
) {
    let subject = factory().await;
    let feed = ChannelName::feed();
    subject.broker.clear(&feed, KEPT).await.unwrap();
    let before = publish(&*subject.broker, &feed, 1).await;
    publish(&*subject.broker, &feed, 2).await;
    subject.broker.clear(&feed, KEPT).await.unwrap();
    let page = history(&*subject.broker, &feed, &ALL).await;
    assert_eq!((page.publications.len(), page.oldest), (0, 3));
    assert_eq!(page.top, StreamPosition { offset: 2, ..before });
    let after = publish(&*subject.broker, &feed, 3).await;
    assert_eq!(after, StreamPosition { offset: 3, ..page.top });
    assert_eq!(offsets(&history(&*subject.broker, &feed, &ALL).await), [3]);
}

pub async fn who_comes_and_goes_is_told_in_order_and_kept_nowhere(
    factory: impl AsyncFnOnce() -> BrokerSubject,
) {
    let BrokerSubject { broker, mut deliveries, keep: _keep, .. } = factory().await;
    let feed = ChannelName::feed();
    let passage = |kind| Passage { channel: feed.clone(), kind, info: info(7, "a client") };
    broker.announce(&passage(PassageKind::Join)).await.unwrap();
    broker.subscribe(&feed).await.unwrap();
    for (n, kind) in [(1, PassageKind::Join), (2, PassageKind::Leave)] {
        broker.announce(&passage(kind)).await.unwrap();
        assert_eq!(publish(&*broker, &feed, n).await.offset, u64::from(n));
        let told = arriving(&mut deliveries).await;
        assert!(matches!(&told, Arriving::Passage(told) if *told == passage(kind)), "{told:?}");
        assert_eq!(next(&mut deliveries).await.publication.offset, u64::from(n));
    }
    assert_eq!(offsets(&history(&*broker, &feed, &ALL).await), [1, 2]);
}
