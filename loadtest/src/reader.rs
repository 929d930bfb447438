//! Reads what subscribers receive.
//!
//! Nothing is allocated for a message: bytes are read into one buffer, frames and lines are found in place, and the
//! stamp is read where the last message had it.

use crate::connection::{Connection, PING};
use crate::frame;
use crate::payload::Finder;
use crate::sequence::Subscriptions;
use crate::tally::{Faults, Tally};
use anyhow::Result;
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

/// More than any frame here; only what is used of it is ever touched.
const SCRATCH_BYTES: usize = 1024 * 1024;
/// What RFC 6455, section 7.1.5, calls the code of a close frame without one: 1005.
const NO_STATUS: [u8; 2] = 1005_u16.to_be_bytes();

/// A connection under load.
pub struct Peer {
    stream: TcpStream,
    /// An incomplete frame, until the rest comes.
    partial: Vec<u8>,
    /// What is to be written.
    pub unsent: Vec<u8>,
    /// What it is subscribed to, and what it received of that.
    pub subscriptions: Subscriptions,
    open: bool,
    /// What the server's close frame said, if one came.
    farewell: Option<Farewell>,
}

/// The code and the reason of a close frame.
pub type Farewell = (u16, String);

impl Peer {
    /// Takes over an established connection: no longer blocking, watched by `poll`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn register(
        connection: Connection,
        subscriptions: Subscriptions,
        poll: &Poll,
        token: Token,
    ) -> Result<Self> {
        let (stream, partial) = connection.into_parts();
        stream.set_read_timeout(None)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, partial, unsent: Vec::new(), subscriptions, open: true, farewell: None })
    }

    /// Whether the connection has not ended, as far as was read.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// What the server's close frame said, if one came.
    pub fn farewell(&self) -> Option<&Farewell> {
        self.farewell.as_ref()
    }

    /// Writes what waits to be written, as far as the socket takes it.
    pub fn flush(&mut self) {
        while !self.unsent.is_empty() && self.open {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.open = false,
            }
        }
    }
}

/// What reading needs, apart from the connection that is read.
pub struct Reader {
    scratch: Vec<u8>,
    finder: Finder,
    /// What was received so far.
    pub tally: Tally,
    push_bytes: usize,
    reads: u64,
}

impl Reader {
    /// Counts into `tally`.
    pub fn new(tally: Tally) -> Self {
        Self {
            scratch: vec![0; SCRATCH_BYTES],
            finder: Finder::default(),
            tally,
            push_bytes: 0,
            reads: 0,
        }
    }

    /// Length of the last push message, in bytes.
    pub fn push_bytes(&self) -> usize {
        self.push_bytes
    }

    /// How many reads returned bytes.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// Reads all that a connection has (edge-triggered) and notes what it carries. `ended` says that the server has closed
    /// its side: the end is then behind what there is to read, and no new edge.
    #[inline]
    pub fn read(&mut self, peer: &mut Peer, began: Instant, ended: bool) {
        while peer.open {
            let kept = peer.partial.len();
            self.scratch[..kept].copy_from_slice(&peer.partial);
            let filled = match peer.stream.read(&mut self.scratch[kept..]) {
                Ok(0) => return self.lose(peer),
                Ok(count) => kept + count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.lose(peer),
            };
            let now_ns = began.elapsed().as_nanos() as u64;
            self.reads += 1;
            let used = self.scan(peer, filled, now_ns);
            peer.partial.clear();
            peer.partial.extend_from_slice(&self.scratch[used..filled]);
            if filled < self.scratch.len() && !ended {
                // A short read has emptied the socket; new bytes are a new edge.
                return;
            }
        }
    }

    /// Scans the complete frames among the `filled` bytes of the scratch buffer; returns how many bytes they are.
    fn scan(&mut self, peer: &mut Peer, filled: usize, now_ns: u64) -> usize {
        let mut at = 0;
        loop {
            let header = match frame::scan(&self.scratch[at..filled]) {
                Ok(Some(header)) => header,
                Ok(None) => return at,
                Err(_) => {
                    self.tally.faults.protocol += 1;
                    self.lose(peer);
                    return filled;
                }
            };
            let mut rest = &self.scratch[at + header.start..at + header.end];
            at += header.end;
            if header.opcode != frame::TEXT {
                other_frame(&mut self.tally.faults, peer, header.opcode, rest);
                continue;
            }
            while !rest.is_empty() {
                let (line, next) = frame::split_line(rest);
                rest = next;
                match self.finder.find(line) {
                    Some(stamp) => {
                        self.push_bytes = line.len();
                        self.tally.delivered(&mut peer.subscriptions, stamp, now_ns);
                    }
                    None => other_line(&mut self.tally.faults, peer, line),
                }
            }
        }
    }

    #[cold]
    fn lose(&mut self, peer: &mut Peer) {
        peer.open = false;
        self.tally.faults.disconnected += 1;
    }
}

/// A frame that is no text: pings are answered, what a close says is kept, and counted when the socket ends.
#[cold]
fn other_frame(faults: &mut Faults, peer: &mut Peer, opcode: u8, payload: &[u8]) {
    match opcode {
        frame::PING => frame::encode_from_client(&mut peer.unsent, frame::PONG, payload),
        frame::PONG => {}
        frame::CLOSE => {
            let (code, reason) = payload.split_at_checked(2).unwrap_or((&NO_STATUS, &[]));
            let code = u16::from_be_bytes([code[0], code[1]]);
            peer.farewell = Some((code, String::from_utf8_lossy(reason).into_owned()));
        }
        // Messages of a benchmark are short, and no server has a reason to split or to send binary ones.
        frame::BINARY | frame::CONTINUATION => faults.protocol += 1,
        _ => faults.protocol += 1,
    }
}

/// A line without a stamp: the protocol's ping is answered, errors are counted, replies are ignored.
#[cold]
fn other_line(faults: &mut Faults, peer: &mut Peer, line: &[u8]) {
    if line == PING {
        frame::encode_from_client(&mut peer.unsent, frame::TEXT, PING);
    } else if line.windows(7).any(|seven| seven == b"\"error\"")
        || line.starts_with(b"{\"disconnect\"")
    {
        if faults.protocol == 0 {
            eprintln!("the server sent {}", String::from_utf8_lossy(line));
        }
        faults.protocol += 1;
    }
}
