//! Runs: publications of one channel that came to a shard together, and go to each subscriber as one piece.
//!
//! What is joined is joined once a run and kind of connection. A subscriber then takes one more reference and is looked at
//! once, however many publications there are: at 16 of them that is most of what a delivery costs beside the kernel.

use std::cell::OnceCell;
use std::iter::Peekable;
use std::sync::Arc;

use bytes::Bytes;

use super::codec::Deflater;
use super::connection::Connection;
use super::frames::{Broadcast, Wire};
use super::pending::Spare;
use super::shard::Message;

/// What is joined at most, in bytes: one piece of it is no backlog of a slow reader, whatever else waits.
const JOINED_MAX_BYTES: usize = 64 * 1024;

/// Publications of one channel, the oldest first.
pub struct Run<'a> {
    broadcasts: &'a [Arc<Broadcast>],
    /// Their frames in one piece, by wire, made when the first connection wants it; `None` inside if that would be too large.
    joined: [OnceCell<Option<Bytes>>; Wire::ALL.len()],
}

impl<'a> Run<'a> {
    /// A run of broadcasts that are all of one channel.
    pub fn new(broadcasts: &'a [Arc<Broadcast>]) -> Self {
        Self { broadcasts, joined: Default::default() }
    }

    /// Queues all of them for one connection.
    pub fn queue(&self, connection: &mut Connection, deflater: &mut Deflater, spare: &mut Spare) {
        match self.joined_for(connection) {
            Some(joined) => connection.pending.push(joined.clone(), spare),
            None => {
                for broadcast in self.broadcasts {
                    let frame = broadcast.frame_to(connection, deflater).clone();
                    connection.pending.push(frame, spare);
                }
            }
        }
    }

    /// The frames in one piece, if that is worth it. Who gets them compressed gets them one by one.
    fn joined_for(&self, connection: &Connection) -> Option<&Bytes> {
        if self.broadcasts.len() < 2 || connection.compression.is_some() {
            return None;
        }
        let wire = connection.wire;
        self.joined[wire as usize].get_or_init(|| join(self.broadcasts, wire)).as_ref()
    }
}

fn join(broadcasts: &[Arc<Broadcast>], wire: Wire) -> Option<Bytes> {
    let frames = || broadcasts.iter().map(|broadcast| broadcast.frame(wire));
    let length = frames().map(Bytes::len).sum();
    (length <= JOINED_MAX_BYTES).then(|| {
        let mut joined = Vec::with_capacity(length);
        frames().for_each(|frame| joined.extend_from_slice(frame));
        joined.into()
    })
}

/// Takes from `messages` the broadcasts that follow `first` and are of its channel.
pub fn gather(
    broadcasts: &mut Vec<Arc<Broadcast>>,
    first: Arc<Broadcast>,
    messages: &mut Peekable<impl Iterator<Item = Message>>,
) {
    let channel = first.delivery.channel.clone();
    broadcasts.push(first);
    let of_the_channel = |message: &Message| match message {
        Message::Deliver(next) => next.delivery.channel == channel,
        _ => false,
    };
    while let Some(Message::Deliver(next)) = messages.next_if(of_the_channel) {
        broadcasts.push(next);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::domain::channel::ChannelName;
    use crate::domain::publication::{Delivery, Json, Publication, PublicationBody};
    use crate::hub::outlet::Outlet;

    fn broadcast(channel: &str, offset: u64, length: usize) -> Arc<Broadcast> {
        let data = Json::from_string(format!("\"{offset}{}\"", "x".repeat(length))).unwrap();
        let body = PublicationBody { data, info: None, tags: BTreeMap::new(), delta: false };
        let publication = Publication { offset, event: None, body: Arc::new(body) };
        let channel = ChannelName::parse(channel, 255).unwrap();
        Arc::new(Broadcast::new(Delivery { channel, epoch: None, publication }))
    }

    fn connection(wire: Wire) -> Connection {
        Connection::new(Rc::new(Outlet::Body(mpsc::channel(1).0)), wire, 1)
    }

    fn queued(connection: &Connection) -> Vec<u8> {
        let mut bytes = Vec::new();
        connection.pending.copy_to(&mut bytes);
        bytes
    }

    #[test]
    fn however_a_run_is_queued_every_connection_gets_all_of_it_in_order() {
        for (count, length) in [(1, 10), (2, 10), (16, 100), (3, 40_000)] {
            let broadcasts: Vec<_> = (1..=count).map(|n| broadcast("a:b", n, length)).collect();
            let run = Run::new(&broadcasts);
            let (mut deflater, mut spare) = (Deflater::new(1, 128), Spare::new());
            for wire in Wire::ALL.into_iter().chain(Wire::ALL) {
                let mut connection = connection(wire);
                run.queue(&mut connection, &mut deflater, &mut spare);
                let frames = broadcasts.iter().map(|broadcast| broadcast.frame(wire).as_ref());
                assert_eq!(queued(&connection), frames.collect::<Vec<_>>().concat());
            }
        }
    }

    #[test]
    fn a_run_ends_where_another_channel_or_another_message_comes_between() {
        let deliver = |channel, offset| Message::Deliver(broadcast(channel, offset, 1));
        let mut messages = [
            deliver("a:b", 2),
            deliver("a:c", 1),
            deliver("a:b", 3),
            Message::Stop(oneshot::channel().0),
            deliver("a:b", 4),
        ]
        .into_iter()
        .peekable();
        let mut runs = vec![offsets(broadcast("a:b", 1, 1), &mut messages)];
        while let Some(message) = messages.next() {
            match message {
                Message::Deliver(first) => runs.push(offsets(first, &mut messages)),
                _ => runs.push(Vec::new()),
            }
        }
        assert_eq!(runs, [vec![1, 2], vec![1], vec![3], vec![], vec![4]]);
    }

    fn offsets(
        first: Arc<Broadcast>,
        messages: &mut Peekable<impl Iterator<Item = Message>>,
    ) -> Vec<u64> {
        let mut run = Vec::new();
        gather(&mut run, first, messages);
        run.iter().map(|broadcast| broadcast.delivery.publication.offset).collect()
    }
}
