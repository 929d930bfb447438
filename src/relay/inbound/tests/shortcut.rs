//! The short way round the queue.

use super::*;
use crate::domain::publication::Publication;

impl Bench {
    /// Waits until the relay has opened the short way, which it does as it begins.
    async fn wait_until_open(&self) {
        let nobodys = ChannelName::built_in("plain:nobodys".to_owned());
        let open = async {
            loop {
                let delivery = self.delivery_without_a_place(0);
                let delivery = Delivery { channel: nobodys.clone(), ..delivery };
                if self.shortcut.take(delivery).is_ok() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), open).await.expect("the relay begins");
    }

    fn delivery_without_a_place(&self, n: u16) -> Delivery {
        let event = bare(n, &[self.channel.as_str()]);
        let body = absent::body_of(&event);
        let publication = Publication { offset: 0, event: Some(event.id), body };
        Delivery { channel: self.channel.clone(), epoch: None, publication }
    }
}

#[tokio::test]
async fn what_has_no_place_in_a_stream_goes_the_short_way_and_overtakes_nothing() {
    let mut bench = Bench::new("plain:x").await;
    bench.wait_until_open().await;
    let shortcut = Arc::clone(&bench.shortcut);
    let delivery = |n| bench.delivery_without_a_place(n);
    assert!(shortcut.take(delivery(1)).is_ok());
    shortcut.queued();
    assert!(shortcut.take(delivery(3)).is_err(), "it would overtake what is in the queue");
    let (second, fourth) = (delivery(2), delivery(4));
    bench.inbound.send(Arriving::Publication(second)).await.unwrap();
    // Open again as soon as what was queued has been handed over.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let mut fourth = Some(fourth);
    while let Some(delivery) = fourth.take() {
        assert!(tokio::time::Instant::now() < deadline, "the way stays closed");
        fourth = shortcut.take(delivery).err();
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.hear_publications(3).await, [1, 2, 4]);
}

#[tokio::test]
async fn what_the_node_itself_hears_does_not_go_the_short_way() {
    let bench = Bench::new("plain:x").await;
    bench.wait_until_open().await;
    for channel in ["node:control", "author:7"] {
        let channel = ChannelName::built_in(channel.to_owned());
        let delivery = Delivery { channel, ..bench.delivery_without_a_place(1) };
        assert!(bench.shortcut.take(delivery).is_err());
    }
    let mut placed = bench.delivery_without_a_place(1);
    placed.epoch = Some(Epoch::from_number(1));
    assert!(bench.shortcut.take(placed).is_err());
    let unheard = ChannelName::built_in("plain:y".to_owned());
    let delivery = Delivery { channel: unheard, ..bench.delivery_without_a_place(1) };
    assert!(bench.shortcut.take(delivery).is_ok(), "nobody is there to be told");
}
