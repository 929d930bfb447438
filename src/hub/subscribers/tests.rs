use std::rc::Rc;

use tokio::sync::mpsc;

use super::*;
use crate::domain::publication::{Epoch, Json, Publication, PublicationBody};
use crate::hub::frames::Wire;
use crate::hub::outlet::Outlet;

const KEY: Key = Key { slot: 0, serial: 1 };
const BUFFER_MAX: usize = 8;

/// One connection that is subscribed to one channel, and what it is told.
struct Bench {
    channels: Channels,
    connections: Slab<Connection>,
    name: ChannelName,
    told: usize,
}

impl Bench {
    fn subscribed() -> Self {
        let (body, _closed) = mpsc::channel(1);
        let mut connections = Slab::new();
        let outlet = Rc::new(Outlet::Body(body));
        connections.insert(Connection::new(outlet, Wire::UniEventStream, KEY.serial));
        let mut bench =
            Self { channels: Channels::default(), connections, name: ChannelName::feed(), told: 0 };
        assert!(bench.channels.begin(&bench.name, KEY, &mut bench.connections[0]));
        bench
    }

    /// Delivers a publication; whether the connection is told of it at once.
    fn deliver(&mut self, offset: u64) -> bool {
        self.deliver_together(&[offset]) > 0
    }

    /// Delivers publications that came together; of how many the connection is told at once.
    fn deliver_together(&mut self, offsets: &[u64]) -> usize {
        let broadcasts: Vec<_> = offsets.iter().map(|offset| self.broadcast(*offset)).collect();
        let (mut deflater, mut spare) = (Deflater::new(1, usize::MAX), Spare::new());
        let mut way =
            Way { connections: &mut self.connections, deflater: &mut deflater, spare: &mut spare };
        let before = self.told;
        self.channels.deliver(&broadcasts, BUFFER_MAX, &mut way, |_, _, count| self.told += count);
        self.told - before
    }

    fn broadcast(&self, offset: u64) -> Arc<Broadcast> {
        let data = Json::from_value(&offset).unwrap();
        let body = Arc::new(PublicationBody { data, info: None, tags: [].into(), delta: false });
        let epoch = (offset > 0).then(|| Epoch::from_number(1));
        let publication = Publication { offset, event: None, body };
        let delivery = Delivery { channel: self.name.clone(), epoch, publication };
        Arc::new(Broadcast::new(delivery))
    }

    /// Makes the subscription live, where the past was told up to `offset`; the offsets of what was kept meanwhile.
    fn finish(&mut self, offset: u64) -> Vec<u64> {
        let told = StreamPosition { epoch: Epoch::from_number(1), offset };
        let joined = self.channels.finish(&self.name, KEY, &mut self.connections[0], Some(&told));
        let Joined::Live(meanwhile) = joined else { panic!("{joined:?}") };
        meanwhile.iter().map(|broadcast| broadcast.delivery.publication.offset).collect()
    }
}

#[test]
fn what_has_no_place_in_the_stream_makes_nobody_caught_up() {
    let mut bench = Bench::subscribed();
    assert!(!bench.deliver(3), "the past comes first");
    assert!(!bench.deliver(0));
    // The past that was read from the broker held two more, which are delivered late.
    assert_eq!(bench.finish(5), [3, 0]);
    assert!(bench.deliver(0), "nobody would tell of it again");
    assert!(!bench.deliver(4), "told with the past");
    assert!(bench.deliver(0));
    assert!(!bench.deliver(5), "told with the past");
    assert!(bench.deliver(6));
    assert!(bench.deliver(0));
}

#[test]
fn whoever_has_what_was_told_is_live_at_once() {
    let mut bench = Bench::subscribed();
    assert!(!bench.deliver(5));
    assert!(!bench.deliver(0));
    assert_eq!(bench.finish(5), [5, 0]);
    assert!(bench.deliver(6));
}

#[test]
fn whoever_is_caught_up_with_within_a_run_is_told_of_the_rest_of_it() {
    let mut bench = Bench::subscribed();
    assert_eq!(bench.deliver_together(&[3, 4]), 0, "the past comes first");
    assert_eq!(bench.finish(6), [3, 4]);
    assert_eq!(bench.deliver_together(&[5, 0, 6, 7, 8]), 3, "all but what was told with the past");
    assert_eq!(bench.deliver_together(&[9, 0, 10]), 3);
}
