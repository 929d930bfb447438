//! A shard: one thread that owns a part of the connections, alone.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};
use slab::Slab;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::HubOptions;
use super::codec::{Deflater, Inflater};
use super::connection::{Connection, Key, Owner};
use super::frames::{Broadcast, Wire};
use super::orders::Order;
use super::outlet::Outlet;
use super::pending::{Joined, Spare};
use super::registry::Registry;
use super::run;
use super::subscribers::{Channels, Way};
use super::wheel::Wheel;
use crate::client_protocol::codes::Disconnect;
use crate::client_protocol::directive::Directive;
use crate::domain::channel::ChannelName;
use crate::domain::publication::Passage;

/// Registers a connection with a shard and starts its conversation there.
pub type Adoption = Box<dyn FnOnce(&Rc<Shard>) + Send>;

/// What other threads ask of a shard.
pub enum Message {
    /// Take a connection over.
    Adopt(Adoption),
    /// Deliver to the subscribers of a channel.
    Deliver(Arc<Broadcast>),
    /// Tell those who want to know it that somebody came or went.
    Tell(Arc<Passage>),
    /// Tell the subscribers of a channel that they missed something.
    Invalidate(ChannelName),
    /// Close the connections of one session, or with `session: 0` all of a user's.
    Close(Owner, Disconnect),
    /// Hand an order to the connections of a user.
    Order(i64, Arc<Directive>),
    /// Take what an emulated client said.
    Said(Key, Bytes),
    /// Count the subscribers of channels.
    Channels(Box<dyn Fn(&str) -> bool + Send>, oneshot::Sender<Vec<(ChannelName, u64)>>),
    /// Report what was counted.
    Report(oneshot::Sender<ShardStats>),
    /// Close everything and end.
    Stop(oneshot::Sender<()>),
}

/// What a shard counts, since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// Connections now.
    pub connections: u64,
    /// Users whose connections they are; all anonymous ones count as one.
    pub users: FxHashSet<i64>,
    /// Broadcasts queued for a connection.
    pub deliveries: u64,
    /// Write system calls.
    pub writes: u64,
    /// Times that a connection became dirty: at most one write belongs to each,
    /// but for what did not fit into one.
    pub dirtied: u64,
    /// Connections closed because they read too slowly.
    pub slow: u64,
    /// Subscriptions now.
    pub subscriptions: u64,
    /// Connections whose socket takes nothing now.
    pub blocked: u64,
    /// Bytes that wait for those now.
    pub queued_bytes: u64,
    /// Connections that ended, by the code of the end.
    pub closes: BTreeMap<u16, u64>,
}

/// The length of a tick of the timing wheel.
const TICK: Duration = Duration::from_millis(100);
/// How many messages are taken before what they dirtied is written.
const MESSAGES_PER_TICK: usize = 1_024;
/// A flush of this length is large: it wrote to hundreds of sockets.
const LARGE_FLUSH: Duration = Duration::from_millis(2);
/// How long a busy shard listens for more publications before it flushes again, and again as long as more come.
const GATHER: Duration = Duration::from_millis(1);
/// How often it does so at most: what came first waits no longer than that.
const GATHER_TIMES: usize = 4;
/// How many emptied lists of pending frames are kept for the next to need one.
const SPARE_MAX: usize = 16_384;

/// Durations of the options in ticks.
pub struct Ticks {
    pub(super) ping_interval: u64,
    pub(super) pong_timeout: u64,
    pub(super) stale_close_delay: u64,
    pub(super) queue_max_age: u64,
}

impl Ticks {
    fn of(options: &HubOptions) -> Self {
        Self {
            ping_interval: ticks_of(options.ping_interval),
            pong_timeout: ticks_of(options.pong_timeout),
            stale_close_delay: ticks_of(options.stale_close_delay),
            queue_max_age: ticks_of(options.queue_max_age),
        }
    }
}

/// A duration in ticks, at least one.
pub(super) fn ticks_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// A shard. Shared only within its thread.
pub struct Shard {
    pub(super) number: usize,
    pub(super) options: HubOptions,
    pub(super) ticks: Ticks,
    pub(super) registry: Arc<Registry>,
    pub(super) state: RefCell<State>,
    /// Where every connection of the shard reads into.
    pub(super) scratch: RefCell<Box<[u8]>>,
    /// What decompresses the messages of all its connections.
    pub(super) inflater: RefCell<Inflater>,
    /// Wakes the loop when a connection became dirty.
    pub(super) wake: Notify,
    /// When the shard began, which is tick 0 of the wheel.
    pub(super) began: Instant,
    /// How long the last flush took, and when it ended.
    pub(super) last_flush: Cell<(Duration, Instant)>,
}

/// What changes. Borrowed for the length of a synchronous step, never across a wait.
pub struct State {
    pub(super) connections: Slab<Connection>,
    pub(super) channels: Channels,
    pub(super) wheel: Wheel<Key>,
    pub(super) dirty: Vec<Key>,
    pub(super) spare: Spare,
    pub(super) joined: Joined,
    pub(super) stats: ShardStats,
    pub(super) expired: Vec<Key>,
    /// What waits to be carried out, by slot.
    pub(super) orders: FxHashMap<u32, Vec<Order>>,
    /// The slots of the connections whose socket takes nothing.
    pub(super) blocked: FxHashSet<u32>,
    /// What compresses the messages to all connections that want that.
    pub(super) deflater: Deflater,
    next_serial: u32,
}

impl State {
    /// The connection that `key` names, if it is still there.
    pub(super) fn connection(&mut self, key: Key) -> Option<&mut Connection> {
        self.connections.get_mut(key.slot as usize).filter(|c| c.serial == key.serial)
    }
}

impl State {
    /// What was counted, and how things are now. Looks only at connections that are blocked, for all others have
    /// been written what waited for them.
    fn report(&self) -> ShardStats {
        let blocked = self.blocked.iter().filter_map(|slot| self.connections.get(*slot as usize));
        ShardStats {
            connections: self.connections.len() as u64,
            users: self.connections.iter().map(|(_, connection)| connection.owner.user).collect(),
            subscriptions: self.channels.subscriptions(),
            blocked: self.blocked.len() as u64,
            queued_bytes: blocked.map(|connection| connection.pending.bytes() as u64).sum(),
            ..self.stats.clone()
        }
    }
}

impl Shard {
    /// A shard without connections.
    pub fn new(number: usize, options: HubOptions, registry: Arc<Registry>) -> Rc<Self> {
        let state = State {
            connections: Slab::new(),
            channels: Channels::default(),
            wheel: Wheel::new(),
            dirty: Vec::new(),
            spare: Vec::new(),
            joined: Joined::default(),
            stats: ShardStats::default(),
            expired: Vec::new(),
            orders: FxHashMap::default(),
            blocked: FxHashSet::default(),
            deflater: Deflater::new(options.compression_level, options.compression_min_size),
            next_serial: 0,
        };
        Rc::new(Self {
            number,
            ticks: Ticks::of(&options),
            inflater: RefCell::default(),
            scratch: RefCell::new(vec![0; options.read_buffer_bytes].into()),
            options,
            registry,
            state: RefCell::new(state),
            wake: Notify::new(),
            began: Instant::now(),
            last_flush: Cell::new((Duration::ZERO, Instant::now())),
        })
    }

    /// Serves until it is told to stop; returns who is to be told once the last
    /// words of its connections are said. What arrives while a flush runs is
    /// written together by the next: under load, publications join themselves.
    pub async fn run(
        self: Rc<Self>,
        mut inbox: mpsc::Receiver<Message>,
    ) -> Option<oneshot::Sender<()>> {
        let mut ticker = tokio::time::interval(TICK);
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut messages = Vec::with_capacity(MESSAGES_PER_TICK);
        let mut broadcasts = Vec::new();
        loop {
            tokio::select! {
                _ = inbox.recv_many(&mut messages, MESSAGES_PER_TICK) => {
                    if self.is_busy() {
                        self.gather(&mut inbox, &mut messages).await;
                    }
                    if messages.is_empty() {
                        return None;
                    }
                    let mut messages = messages.drain(..).peekable();
                    while let Some(message) = messages.next() {
                        match message {
                            Message::Stop(done) => {
                                self.stop();
                                return Some(done);
                            }
                            Message::Deliver(first) => {
                                run::gather(&mut broadcasts, first, &mut messages);
                                self.deliver(&broadcasts);
                                broadcasts.clear();
                            }
                            message => self.handle(message),
                        }
                    }
                }
                _ = ticker.tick() => self.tick(),
                () = self.wake.notified() => {}
            }
            self.flush_dirty().await;
        }
    }

    /// Whether a large flush ended less than its own length ago. What comes then
    /// mostly does not come alone: waiting a moment halves the writes.
    fn is_busy(&self) -> bool {
        let (length, end) = self.last_flush.get();
        length >= LARGE_FLUSH && end.elapsed() < length
    }

    /// Takes what else comes while the shard has every reason to expect more. A client's publications reach it one
    /// after the other, and each flush that takes one of them alone costs a write for every subscriber.
    async fn gather(&self, inbox: &mut mpsc::Receiver<Message>, messages: &mut Vec<Message>) {
        for _ in 0..GATHER_TIMES {
            let before = messages.len();
            tokio::time::sleep(GATHER).await;
            let room = MESSAGES_PER_TICK.saturating_sub(before);
            messages.extend(std::iter::from_fn(|| inbox.try_recv().ok()).take(room));
            if messages.len() == before {
                return;
            }
        }
    }

    fn handle(self: &Rc<Self>, message: Message) {
        match message {
            Message::Adopt(adopt) => adopt(self),
            Message::Deliver(broadcast) => self.deliver(&[broadcast]),
            Message::Tell(passage) => self.tell(&passage),
            Message::Invalidate(channel) => self.invalidate(&channel),
            Message::Close(owner, why) => self.close_owned(owner, why),
            Message::Order(user, directive) => self.order(user, &directive),
            Message::Said(key, frame) => self.said(key, frame),
            Message::Channels(wanted, answer) => {
                let _ = answer.send(self.state.borrow().channels.counted(&*wanted));
            }
            Message::Report(report) => {
                // Whoever asked may have stopped waiting.
                let _ = report.send(self.state.borrow().report());
            }
            Message::Stop(_) => {}
        }
    }

    /// Takes a connection in; it must identify itself before it becomes stale.
    pub(super) fn insert(&self, outlet: Rc<Outlet>, wire: Wire) -> Key {
        let state = &mut *self.state.borrow_mut();
        state.next_serial = state.next_serial.wrapping_add(1);
        let mut connection = Connection::new(outlet, wire, state.next_serial);
        let ends_at = state.wheel.now() + self.ticks.stale_close_delay;
        connection.ends_at = Some(ends_at);
        let key =
            Key { slot: state.connections.insert(connection) as u32, serial: state.next_serial };
        state.wake_at(key, ends_at);
        key
    }

    /// Remembers the task that reads, to end it with the connection.
    pub(super) fn attach_reader(&self, key: Key, reader: tokio::task::AbortHandle) {
        if let Some(connection) = self.state.borrow_mut().connection(key) {
            connection.reader = Some(reader);
        }
    }

    /// The frame as one connection gets it.
    pub(super) fn compressed(&self, key: Key, frame: Bytes) -> Bytes {
        let State { connections, deflater, .. } = &mut *self.state.borrow_mut();
        match connections.get(key.slot as usize).filter(|c| c.serial == key.serial) {
            Some(connection) => connection.compressed(frame, deflater),
            None => frame,
        }
    }

    /// Queues one frame for one connection, which gets it compressed if that was agreed.
    pub(super) fn send(self: &Rc<Self>, key: Key, frame: Bytes) {
        let over = {
            let state = &mut *self.state.borrow_mut();
            let State { connections, deflater, spare, .. } = state;
            let Some(connection) = connections.get_mut(key.slot as usize) else {
                return;
            };
            if connection.serial != key.serial {
                return;
            }
            let frame = connection.compressed(frame, deflater);
            connection.pending.push(frame, spare);
            connection.pending.backlog() > self.options.queue_max_bytes
        };
        self.mark_dirty(key);
        if over {
            self.relieve(key);
        }
    }

    pub(super) fn mark_dirty(&self, key: Key) {
        let state = &mut *self.state.borrow_mut();
        let Some(connection) = state.connection(key) else {
            return;
        };
        if !connection.dirty && connection.blocked_since.is_none() {
            connection.dirty = true;
            state.stats.dirtied += 1;
            state.dirty.push(key);
            self.wake.notify_one();
        }
    }

    /// Queues broadcasts of one channel for its subscribers.
    fn deliver(self: &Rc<Self>, broadcasts: &[Arc<Broadcast>]) {
        let mut over = Vec::new();
        {
            let State { connections, channels, deflater, dirty, spare, stats, .. } =
                &mut *self.state.borrow_mut();
            let max = self.options.recovery_buffer_max_publications;
            let way = &mut Way { connections, deflater, spare };
            channels.deliver(broadcasts, max, way, |slot, connection, count| {
                stats.deliveries += count as u64;
                let key = Key { slot, serial: connection.serial };
                if !connection.dirty && connection.blocked_since.is_none() {
                    connection.dirty = true;
                    stats.dirtied += 1;
                    dirty.push(key);
                }
                if connection.pending.backlog() > self.options.queue_max_bytes {
                    over.push(key);
                }
            });
            spare.truncate(SPARE_MAX);
        }
        for key in over {
            self.relieve(key);
        }
    }

    /// A connection's queue is over its bound. One that merely was not written
    /// to yet is written to; one that takes nothing is too slow.
    fn relieve(self: &Rc<Self>, key: Key) {
        self.flush(key);
        let max = self.options.queue_max_bytes;
        let slow =
            self.state.borrow_mut().connection(key).is_some_and(|c| c.pending.backlog() > max);
        if slow {
            self.state.borrow_mut().stats.slow += 1;
            self.close(key, Disconnect::SLOW);
        }
    }
}
