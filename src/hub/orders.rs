//! Orders: what reaches a connection on another way than its own socket, and is dealt with by its conversation.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::connection::Key;
use super::shard::Shard;
use crate::client_protocol::codes::Disconnect;
use crate::client_protocol::directive::Directive;

/// What waits for a conversation.
pub enum Order {
    /// What a back end asks.
    Directive(Arc<Directive>),
    /// What the client of an emulated connection said.
    Said(Bytes),
}

/// How many orders may wait for a connection that is busy.
const WAITING_MAX: usize = 256;

impl Shard {
    /// Hands an order to every connection of a user that has connected, whose conversation finds out whether it is meant.
    pub(super) fn order(self: &Rc<Self>, user: i64, directive: &Arc<Directive>) {
        let mut over = Vec::new();
        {
            let state = &mut *self.state.borrow_mut();
            for (slot, connection) in &mut state.connections {
                if connection.owner.user != user || connection.ping_due == 0 {
                    continue;
                }
                let slot = slot as u32;
                let waiting = state.orders.entry(slot).or_default();
                if waiting.len() >= WAITING_MAX {
                    over.push(Key { slot, serial: connection.serial });
                    continue;
                }
                waiting.push(Order::Directive(Arc::clone(directive)));
                if let Some(waker) = connection.waker.take() {
                    waker.wake();
                }
            }
        }
        for key in over {
            self.close(key, Disconnect::SLOW);
        }
    }

    /// Waits for orders to a connection, and takes them.
    pub(super) async fn ordered(&self, key: Key) -> Vec<Order> {
        std::future::poll_fn(|context| {
            let state = &mut *self.state.borrow_mut();
            let Some(connection) = state.connections.get_mut(key.slot as usize) else {
                return Poll::Pending;
            };
            if connection.serial != key.serial {
                return Poll::Pending;
            }
            if let Some(orders) = state.orders.remove(&key.slot) {
                return Poll::Ready(orders);
            }
            connection.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}
