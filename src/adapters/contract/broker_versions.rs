//! What adapters of [`Broker`] are held to where publications tell versions, or are not kept.

use std::sync::Arc;

use super::broker::{ALL, BrokerSubject, KEPT, history, next, offsets, outgoing};
use super::{event_id, race};
use crate::domain::channel::ChannelName;
use crate::domain::publication::{StreamPosition, Version};
use crate::ports::broker::{Broker, Outgoing};

/// Makes a test of each promise.
macro_rules! broker_versions_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::broker_versions,
            $factory,
            [
                a_version_that_does_not_succeed_is_not_published,
                of_racing_versions_none_follows_a_later_one,
                a_channel_without_retention_gets_no_offsets_and_no_memory,
                what_is_not_kept_is_told_in_its_turn,
            ]
        );
    };
}
pub(crate) use broker_versions_contract;

fn versioned(event: Option<u16>, number: u64, epoch: &str) -> Outgoing {
    let version = Some(Version { number, epoch: epoch.to_owned() });
    Outgoing { version, ..outgoing(&ChannelName::feed(), event, Some(KEPT)) }
}

async fn offset(broker: &dyn Broker, outgoing: Outgoing) -> Option<u64> {
    let place = broker.publish(&[outgoing]).await.unwrap().pop().unwrap();
    place.map(|StreamPosition { offset, .. }| offset)
}

pub async fn a_version_that_does_not_succeed_is_not_published(
    factory: impl AsyncFnOnce() -> BrokerSubject,
) {
    let BrokerSubject { broker, mut deliveries, keep: _keep, .. } = factory().await;
    let feed = ChannelName::feed();
    broker.subscribe(&feed).await.unwrap();
    for (event, number, epoch, expected) in [
        (1, 2, "a", Some(1)),
        (2, 2, "a", None),
        (3, 1, "", None),
        (4, 10, "", Some(2)),
        // What stands for the same event is the same publication.
        (4, 10, "", Some(2)),
        (5, 9, "a", Some(3)),
        (6, 10, "a", Some(4)),
        (7, u64::MAX, "a", Some(5)),
        (8, u64::MAX - 1, "a", None),
    ] {
        let place = offset(&*broker, versioned(Some(event), number, epoch)).await;
        assert_eq!(place, expected, "event {event}, version {number} of {epoch:?}");
    }
    // Without a version nothing is compared, and the last one stays.
    assert_eq!(offset(&*broker, outgoing(&feed, Some(9), Some(KEPT))).await, Some(6));
    assert_eq!(offset(&*broker, versioned(None, u64::MAX, "a")).await, None);
    let batch = [versioned(None, 1, "b"), versioned(None, 1, "b"), versioned(None, 2, "b")];
    let places = broker.publish(&batch).await.unwrap();
    let places: Vec<_> = places.into_iter().map(|place| place.map(|it| it.offset)).collect();
    assert_eq!(places, [Some(7), None, Some(8)]);
    for offset in 1..=8 {
        assert_eq!(next(&mut deliveries).await.publication.offset, offset);
    }
    assert!(deliveries.try_recv().is_err());
    broker.clear(&feed, KEPT).await.unwrap();
    assert_eq!(offset(&*broker, versioned(None, 2, "b")).await, None, "it goes on, as offsets do");
}

pub async fn of_racing_versions_none_follows_a_later_one(
    factory: impl AsyncFnOnce() -> BrokerSubject,
) {
    let BrokerSubject { broker, mut deliveries, keep: _keep, .. } = factory().await;
    let feed = ChannelName::feed();
    broker.subscribe(&feed).await.unwrap();
    let racer = Arc::clone(&broker);
    let places = race(move |racing| {
        let broker = Arc::clone(&racer);
        async move {
            // The event tells which version it was.
            let n = u16::from(racing) + 1;
            offset(&*broker, versioned(Some(n), n.into(), "")).await
        }
    })
    .await;
    let published = places.iter().flatten().count();
    assert!(places.last().is_some_and(Option::is_some), "the last is later than all: {places:?}");
    let mut told = Vec::new();
    for _ in 0..published {
        told.push(next(&mut deliveries).await.publication.event.unwrap());
    }
    assert!(told.is_sorted(), "{told:?}");
    assert!(deliveries.try_recv().is_err());
}

pub async fn a_channel_without_retention_gets_no_offsets_and_no_memory(
    factory: impl AsyncFnOnce() -> BrokerSubject,
) {
    let BrokerSubject { broker, mut deliveries, keep: _keep, .. } = factory().await;
    let feed = ChannelName::feed();
    broker.subscribe(&feed).await.unwrap();
    let batch = [outgoing(&feed, Some(1), None), outgoing(&feed, Some(1), None)];
    assert_eq!(broker.publish(&batch).await.unwrap(), [None, None]);
    for _ in 0..2 {
        let delivery = next(&mut deliveries).await;
        assert_eq!((delivery.publication.offset, delivery.epoch), (0, None));
        assert_eq!(delivery.publication.event, Some(event_id(1)));
    }
    assert_eq!(history(&*broker, &feed, &ALL).await.publications, []);
}

pub async fn what_is_not_kept_is_told_in_its_turn(factory: impl AsyncFnOnce() -> BrokerSubject) {
    let BrokerSubject { broker, mut deliveries, keep: _keep, .. } = factory().await;
    let feed = ChannelName::feed();
    broker.subscribe(&feed).await.unwrap();
    let batch = [
        outgoing(&feed, Some(1), Some(KEPT)),
        outgoing(&feed, Some(2), None),
        outgoing(&feed, Some(3), Some(KEPT)),
        outgoing(&feed, Some(4), None),
    ];
    broker.publish(&batch).await.unwrap();
    let mut told = Vec::new();
    for _ in 0..batch.len() {
        let delivery = next(&mut deliveries).await;
        let publication = delivery.publication;
        told.push((publication.event, delivery.epoch.is_some(), publication.offset));
    }
    let expected = [(1, true, 1), (2, false, 0), (3, true, 2), (4, false, 0)];
    let expected = expected.map(|(n, kept, offset)| (Some(event_id(n)), kept, offset));
    assert_eq!(told, expected);
    assert_eq!(offsets(&history(&*broker, &feed, &ALL).await), [1, 2]);
}
