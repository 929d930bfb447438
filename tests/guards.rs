//! Guards of what speed depends on, counted and not timed: write system calls a dirty socket and tick,
//! heap allocations a delivery, and heap bytes an idle connection.
//!
//! They run in one test, since they count for the whole process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use carillon::domain::channel::ChannelName;
use carillon::domain::publication::{
    Delivery, Epoch, Json, Passage, Publication, PublicationBody, StreamPosition,
};
use carillon::hub::{
    Conversation, Hub, HubOptions, Joined, Link, Message, Owner, ShardStats, Transport, Wire,
};
use carillon::ports::StoreError;
use carillon::ports::broker::{Broker, HistoryPage, HistoryQuery, Outgoing, Retention};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const DEADLINE: Duration = Duration::from_secs(20);
const PUBLICATIONS: u64 = 50;

/// Subscribes to the channel and hears nothing.
struct Listener;

impl Conversation for Listener {
    fn hear(&mut self, _: Message<'_>) {}

    fn is_busy(&self) -> bool {
        false
    }

    async fn act(&mut self) {}
}

struct NoBroker;

#[async_trait]
impl Broker for NoBroker {
    async fn publish(&self, _: &[Outgoing]) -> Result<Vec<Option<StreamPosition>>, StoreError> {
        Ok(Vec::new())
    }

    async fn announce(&self, _: &Passage) -> Result<(), StoreError> {
        Ok(())
    }

    async fn subscribe(&self, _: &ChannelName) -> Result<(), StoreError> {
        Ok(())
    }

    async fn unsubscribe(&self, _: &ChannelName) -> Result<(), StoreError> {
        Ok(())
    }

    async fn clear(&self, _: &ChannelName, _: Retention) -> Result<(), StoreError> {
        Ok(())
    }

    async fn history(
        &self,
        _: &ChannelName,
        _: Retention,
        _: &HistoryQuery,
    ) -> Result<HistoryPage, StoreError> {
        Err(StoreError::Unavailable { store: "realtime", cause: "nothing is kept here".into() })
    }
}

/// A hub with one shard and the far ends of its connections.
struct Bench {
    hub: Hub,
    channel: ChannelName,
    clients: Vec<TcpStream>,
    offset: u64,
    received: u64,
}

impl Bench {
    fn new() -> Self {
        let options = HubOptions {
            shards: 1,
            shard_queue_max: 1_024,
            flush_yield_writes: 256,
            queue_max_bytes: 1 << 20,
            queue_max_age: Duration::from_secs(10),
            ping_interval: Duration::from_secs(3_600),
            pong_timeout: Duration::from_secs(60),
            stale_close_delay: Duration::from_secs(3_600),
            message_size_limit: 65_536,
            read_buffer_bytes: 65_536,
            compression_level: 1,
            compression_min_size: 128,
            recovery_buffer_max_publications: 16,
        };
        let hub =
            Hub::start(&options, Arc::new(NoBroker), tokio::runtime::Handle::current()).unwrap();
        let channel = ChannelName::parse("guard:all", 255).unwrap();
        Self { hub, channel, clients: Vec::new(), offset: 0, received: 0 }
    }

    /// Adds `count` subscribers and waits until the hub has them.
    async fn add(&mut self, count: usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for _ in 0..count {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.set_nonblocking(true).unwrap();
            let (server, _) = listener.accept().unwrap();
            server.set_nonblocking(true).unwrap();
            server.set_nodelay(true).unwrap();
            let channel = self.channel.clone();
            let converse = move |link: Link| {
                link.identified(Owner::default(), None);
                assert!(link.begin_subscription(&channel));
                assert!(matches!(link.finish_subscription(&channel, None), Joined::Live(_)));
                Listener
            };
            self.hub.adopt(Transport::Tcp(server), Wire::WebSocket, Bytes::new(), converse).await;
            self.clients.push(client);
        }
        let expected = self.clients.len() as u64;
        self.wait_for(|stats| stats.connections == expected).await;
    }

    async fn wait_for(&self, condition: impl Fn(ShardStats) -> bool) -> ShardStats {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let stats = self.hub.stats().await.remove(0);
            if condition(stats.clone()) {
                return stats;
            }
            assert!(Instant::now() < deadline, "the hub came only to {stats:?}");
        }
    }

    fn delivery(&mut self) -> Delivery {
        self.offset += 1;
        let data = Json::from_string(format!(
            r#"{{"n":"{:08}","text":"{}"}}"#,
            self.offset,
            "x".repeat(90)
        ));
        let body = PublicationBody {
            data: data.unwrap(),
            info: None,
            tags: BTreeMap::new(),
            delta: false,
        };
        let publication = Publication { offset: self.offset, event: None, body: Arc::new(body) };
        Delivery { channel: self.channel.clone(), epoch: Some(Epoch::from_number(1)), publication }
    }

    /// Publishes `burst` at once and reads until every client has all of it.
    async fn publish(&mut self, burst: usize) {
        let mut frame_bytes = 0;
        for _ in 0..burst {
            let delivery = self.delivery();
            frame_bytes =
                Wire::WebSocket.publication(&delivery.channel, &delivery.publication).len() as u64;
            assert!(self.hub.deliver(delivery).await);
        }
        self.received += frame_bytes * burst as u64;
        let expected = frame_bytes * burst as u64 * self.clients.len() as u64;
        let (mut read, mut buffer) = (0, [0; 16_384]);
        let deadline = Instant::now() + DEADLINE;
        while read < expected {
            assert!(Instant::now() < deadline, "only {read} of {expected} bytes arrived");
            for client in &mut self.clients {
                match client.read(&mut buffer) {
                    Ok(count) => read += count as u64,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => panic!("a client lost its connection: {error}"),
                }
            }
        }
        assert_eq!(read, expected);
    }
}

/// Allocations of the whole process while `PUBLICATIONS` go to every subscriber.
async fn allocations(bench: &mut Bench) -> u64 {
    bench.publish(1).await;
    bench.publish(4).await;
    let region = Region::new(ALLOCATOR);
    for _ in 0..PUBLICATIONS {
        bench.publish(1).await;
    }
    let change = region.change();
    (change.allocations + change.reallocations) as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_cost_one_write_a_dirty_socket_and_no_allocation_and_idle_connections_little_memory()
 {
    let mut bench = Bench::new();

    // Heap bytes of a bare socket that the runtime watches, and of an idle connection of the hub.
    let bare = bare_socket_bytes(200);
    bench.add(50).await;
    let region = Region::new(ALLOCATOR);
    bench.add(200).await;
    let change = region.change();
    let idle = (change.bytes_allocated as f64 - change.bytes_deallocated as f64) / 200.0;
    eprintln!("an idle connection: {idle:.0} heap bytes, a bare socket: {bare:.0}");
    assert!(
        idle <= 8.0 * bare,
        "an idle connection takes {idle:.0} bytes, a bare socket {bare:.0}"
    );

    // The cost of a publication does not depend on how many receive it: allocations a delivery are 0.
    let of_250 = allocations(&mut bench).await;
    bench.add(250).await;
    let of_500 = allocations(&mut bench).await;
    let more = of_500.saturating_sub(of_250);
    eprintln!("{PUBLICATIONS} publications: {of_250} allocations to 250 sockets, {of_500} to 500");
    let deliveries = PUBLICATIONS * 250;
    assert!(more * 100 < deliveries, "{more} more allocations for {deliveries} more deliveries");

    // However publications gather, a dirty socket is written to once.
    for burst in [1, 16, 3, 40, 1] {
        bench.publish(burst).await;
    }
    let stats = bench.wait_for(|_| true).await;
    eprintln!("{stats:?}");
    assert!(
        stats.writes <= stats.dirtied,
        "{} writes for {} dirty sockets",
        stats.writes,
        stats.dirtied
    );
    assert!(stats.writes < stats.deliveries, "bursts were not written together: {stats:?}");
    bench.hub.stop().await;
}

/// What a registered socket without any protocol takes.
fn bare_socket_bytes(count: usize) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let pairs: Vec<_> = (0..count)
        .map(|_| {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, _) = listener.accept().unwrap();
            server.set_nonblocking(true).unwrap();
            (client, server)
        })
        .collect();
    let region = Region::new(ALLOCATOR);
    let registered: Vec<_> = pairs
        .into_iter()
        .map(|(client, server)| (client, tokio::net::TcpStream::from_std(server)))
        .collect();
    let change = region.change();
    drop(registered);
    (change.bytes_allocated as f64 - change.bytes_deallocated as f64) / count as f64
}
