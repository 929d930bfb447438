//! The connections that writes are sent on: kept open, one request at a time on each, a new one where all are busy.

use crate::whole_path::http::{self, Node};
use anyhow::{Context, Result};
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

/// Nodes close a connection that asks for nothing within 10 s; one that is idle for this long is not used again, so that no
/// request meets its end.
const LONGEST_IDLE_NS: u64 = 5_000_000_000;

/// A connection to a node.
struct Writer {
    stream: TcpStream,
    unsent: Vec<u8>,
    received: Vec<u8>,
    /// The number of the write that waits for its answer.
    writing: Option<usize>,
    idle_since_ns: u64,
    open: bool,
}

/// What became of a write.
#[derive(Debug)]
pub struct Outcome {
    /// Its number.
    pub number: usize,
    /// The status of the answer; `None` if the connection ended.
    pub status: Option<u16>,
    /// What the node said.
    pub body: Vec<u8>,
}

/// All connections for writes, by node.
pub struct Writers {
    nodes: Vec<Node>,
    writers: Vec<Writer>,
    /// Those that are free, by node; the one used last comes first.
    free: Vec<Vec<usize>>,
    node_of: Vec<usize>,
    first_token: usize,
    scratch: Vec<u8>,
}

impl Writers {
    /// None yet; their tokens begin at `first_token`.
    pub fn new(nodes: Vec<Node>, first_token: usize) -> Self {
        let free = nodes.iter().map(|_| Vec::new()).collect();
        let (writers, node_of) = (Vec::new(), Vec::new());
        Self { nodes, writers, free, node_of, first_token, scratch: vec![0; 64 * 1024] }
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.writers.len()
    }

    /// Sends a request; its outcome comes from [`Self::ready`], or at once if the connection ended.
    ///
    /// # Errors
    /// When the node takes no connection.
    pub fn send(
        &mut self,
        poll: &Poll,
        node: usize,
        number: usize,
        request: &[u8],
        now_ns: u64,
    ) -> Result<Option<Outcome>> {
        let index = match self.idle(node, now_ns) {
            Some(index) => index,
            None => self.open(poll, node)?,
        };
        let writer = &mut self.writers[index];
        writer.writing = Some(number);
        writer.unsent.extend_from_slice(request);
        writer.flush();
        Ok(self.ended(index))
    }

    /// A free connection that is fresh; others are dropped.
    fn idle(&mut self, node: usize, now_ns: u64) -> Option<usize> {
        while let Some(index) = self.free[node].pop() {
            let writer = &mut self.writers[index];
            if writer.open && now_ns - writer.idle_since_ns < LONGEST_IDLE_NS {
                return Some(index);
            }
            writer.close();
        }
        None
    }

    fn open(&mut self, poll: &Poll, node: usize) -> Result<usize> {
        let stream = self.nodes[node].connect()?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let index = self.writers.len();
        let token = Token(self.first_token + index);
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, token, interest).context("epoll refuses")?;
        self.writers.push(Writer {
            stream,
            unsent: Vec::new(),
            received: Vec::new(),
            writing: None,
            idle_since_ns: 0,
            open: true,
        });
        self.node_of.push(node);
        Ok(index)
    }

    /// Goes on with the connection that is ready; returns the outcome of its write, if it has one now, and when it came.
    pub fn ready(&mut self, token: Token, began: Instant) -> Option<(Outcome, u64)> {
        let index = token.0 - self.first_token;
        let writer = &mut self.writers[index];
        writer.flush();
        writer.receive(&mut self.scratch);
        let now_ns = began.elapsed().as_nanos() as u64;
        if let (Some(number), Ok(Some(answer))) = (writer.writing, http::scan(&writer.received)) {
            writer.received.drain(..answer.length);
            writer.writing = None;
            writer.idle_since_ns = now_ns;
            self.free[self.node_of[index]].push(index);
            let outcome = Outcome { number, status: Some(answer.status), body: answer.body };
            return Some((outcome, now_ns));
        }
        self.ended(index).map(|outcome| (outcome, now_ns))
    }

    /// The outcome of a write whose connection ended, or answers nonsense.
    fn ended(&mut self, index: usize) -> Option<Outcome> {
        let writer = &mut self.writers[index];
        if writer.open && http::scan(&writer.received).is_ok() {
            return None;
        }
        let number = writer.writing.take()?;
        writer.close();
        Some(Outcome { number, status: None, body: Vec::new() })
    }
}

impl Writer {
    fn flush(&mut self) {
        while !self.unsent.is_empty() && self.open {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.open = false,
            }
        }
    }

    fn receive(&mut self, scratch: &mut [u8]) {
        while self.open {
            match self.stream.read(scratch) {
                Ok(0) => self.open = false,
                Ok(count) => self.received.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.open = false,
            }
        }
    }

    fn close(&mut self) {
        self.open = false;
        // It may be closed already, which is all that is wanted.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}
