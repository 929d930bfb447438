//! Writing: one system call a dirty connection and tick.

use std::hint::black_box;
use std::io::ErrorKind;
use std::rc::Rc;

use tokio::time::Instant;

use super::connection::Key;
use super::shard::{Shard, State};
use crate::client_protocol::codes::Disconnect;

/// The most that is joined into one write. A socket's send buffer rarely takes more.
const JOIN_LIMIT_BYTES: usize = 256 * 1024;
/// How many connections are fetched into the caches together. What the kernel uses for as many sends
/// does not push them out again.
const FETCHED_TOGETHER: usize = 16;

/// What became of a write.
enum Flushed {
    Everything,
    /// More may be written at once.
    Part,
    /// The socket takes nothing until it says so.
    Blocked,
    Broken,
}

impl Shard {
    /// Writes to every dirty connection once; yields now and then, so that a
    /// large flush does not keep commands waiting.
    pub(super) async fn flush_dirty(self: &Rc<Self>) {
        let mut dirty = std::mem::take(&mut self.state.borrow_mut().dirty);
        if dirty.is_empty() {
            return;
        }
        let began = Instant::now();
        let mut hindered = Vec::new();
        for (turn, chunk) in dirty.chunks(self.options.flush_yield_writes).enumerate() {
            if turn > 0 {
                tokio::task::yield_now().await;
            }
            self.state.borrow_mut().flush_all(chunk, &mut hindered);
            for (key, why) in hindered.drain(..) {
                self.go_on(key, why);
            }
        }
        self.last_flush.set((began.elapsed(), Instant::now()));
        dirty.clear();
        let mut state = self.state.borrow_mut();
        if state.dirty.is_empty() {
            // Keeps the list's memory for the next tick.
            state.dirty = dirty;
        } else {
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Writes what waits for one connection, as far as the socket takes it.
    pub(super) fn flush(self: &Rc<Self>, key: Key) {
        let mut hindered = Vec::new();
        self.state.borrow_mut().flush_all(&[key], &mut hindered);
        for (key, why) in hindered {
            self.go_on(key, why);
        }
    }

    fn go_on(self: &Rc<Self>, key: Key, why: Flushed) {
        match why {
            Flushed::Everything => {}
            Flushed::Part => self.mark_dirty(key),
            Flushed::Blocked => self.wait_until_writable(key),
            Flushed::Broken => self.close(key, Disconnect::CONNECTION_CLOSED),
        }
    }

    fn wait_until_writable(self: &Rc<Self>, key: Key) {
        let outlet = {
            let state = &mut *self.state.borrow_mut();
            let now = state.wheel.now();
            let Some(connection) = state.connection(key) else {
                return;
            };
            connection.blocked_since = Some(now);
            let outlet = Rc::clone(&connection.outlet);
            state.blocked.insert(key.slot);
            state.wake_at(key, now + self.ticks.queue_max_age);
            outlet
        };
        let shard = Rc::clone(self);
        let waiter = tokio::task::spawn_local(async move {
            let outcome = outlet.writable().await;
            drop(outlet);
            {
                let state = &mut *shard.state.borrow_mut();
                match state.connection(key) {
                    Some(connection) => connection.blocked_since = None,
                    None => return,
                }
                state.blocked.remove(&key.slot);
            }
            match outcome {
                Ok(()) => shard.flush(key),
                Err(_) => shard.close(key, Disconnect::CONNECTION_CLOSED),
            }
        });
        if let Some(connection) = self.state.borrow_mut().connection(key) {
            connection.waiter = Some(waiter.abort_handle());
        }
    }
}

impl State {
    /// Writes once to each of the connections; those that could not be written
    /// to the end go to `hindered`.
    fn flush_all(&mut self, keys: &[Key], hindered: &mut Vec<(Key, Flushed)>) {
        self.joined.forget();
        for keys in keys.chunks(FETCHED_TOGETHER) {
            self.fetch(keys);
            for key in keys {
                match self.write(*key) {
                    Flushed::Everything => {}
                    why => hindered.push((*key, why)),
                }
            }
        }
    }

    /// Looks at what a write needs of the connections that are next. Since the last flush the kernel's work has pushed
    /// it out of the caches. The processor waits for the memory of all of them at once here, and would wait
    /// for one after the other between the system calls.
    fn fetch(&self, keys: &[Key]) {
        let connections = keys.iter().filter_map(|key| self.connections.get(key.slot as usize));
        black_box(connections.fold(0, |seen, connection| seen ^ connection.glance()));
    }

    fn write(&mut self, key: Key) -> Flushed {
        let Self { connections, spare, joined, stats, .. } = self;
        let connection = connections.get_mut(key.slot as usize).filter(|c| c.serial == key.serial);
        let Some(connection) = connection else { return Flushed::Everything };
        connection.dirty = false;
        if connection.blocked_since.is_some() {
            return Flushed::Everything;
        }
        if !connection.pending.is_empty() {
            let bytes = connection.pending.chunk(joined, JOIN_LIMIT_BYTES);
            let offered = bytes.len();
            stats.writes += 1;
            match connection.outlet.try_write(bytes) {
                Ok(taken) => {
                    connection.pending.took(taken, spare);
                    if taken < offered {
                        return Flushed::Blocked;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Flushed::Blocked,
                Err(_) => return Flushed::Broken,
            }
        }
        if !connection.pending.is_empty() {
            return Flushed::Part;
        }
        match connection.outlet.try_flush() {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Flushed::Blocked,
            Err(_) => return Flushed::Broken,
        }
        if let Some(drained) = connection.drained.take() {
            // Whoever waited may have gone meanwhile.
            let _ = drained.send(());
        }
        Flushed::Everything
    }
}
