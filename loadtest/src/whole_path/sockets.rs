//! The WebSockets of the users: read to the end whenever they are ready, frame by frame and line by line.

use crate::connection::Connection;
use crate::frame;
use crate::whole_path::ledger::Ledger;
use crate::whole_path::message::{self, Line};
use anyhow::Result;
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

/// What went wrong is shown so often, and counted afterwards.
const TROUBLES_SHOWN: u64 = 5;

/// One user's WebSocket.
struct Socket {
    stream: TcpStream,
    /// An incomplete frame, until the rest comes.
    received: Vec<u8>,
    unsent: Vec<u8>,
    open: bool,
}

/// All of them; the token of each is its number.
pub struct Sockets {
    sockets: Vec<Socket>,
    scratch: Vec<u8>,
}

impl Sockets {
    /// Takes over established connections: no longer blocking, watched by `poll`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn register(connections: Vec<Connection>, poll: &Poll) -> Result<Self> {
        let mut sockets = Vec::with_capacity(connections.len());
        for (index, connection) in connections.into_iter().enumerate() {
            let (stream, received) = connection.into_parts();
            stream.set_read_timeout(None)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(index), interest)?;
            sockets.push(Socket { stream, received, unsent: Vec::new(), open: true });
        }
        Ok(Self { sockets, scratch: vec![0; 256 * 1024] })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Reads what a socket has (edge-triggered), and notes what it carries. `ended` says that the node has closed its side:
    /// the end is then behind what there is to read, and no new edge.
    pub fn ready(&mut self, index: usize, ended: bool, ledger: &mut Ledger, began: Instant) {
        let socket = &mut self.sockets[index];
        while socket.open {
            match socket.stream.read(&mut self.scratch) {
                Ok(0) => socket.lose(ledger),
                Ok(count) => {
                    let now_ns = began.elapsed().as_nanos() as u64;
                    socket.received.extend_from_slice(&self.scratch[..count]);
                    socket.scan(index, ledger, now_ns);
                    if count < self.scratch.len() && !ended {
                        // A short read has emptied the socket; new bytes are a new edge.
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => socket.lose(ledger),
            }
        }
        socket.flush(ledger);
    }
}

impl Socket {
    fn scan(&mut self, index: usize, ledger: &mut Ledger, now_ns: u64) {
        let received = std::mem::take(&mut self.received);
        let mut at = 0;
        loop {
            match frame::scan(&received[at..]) {
                Ok(Some(header)) => {
                    let payload = &received[at + header.start..at + header.end];
                    at += header.end;
                    self.take(index, header.opcode, payload, ledger, now_ns);
                }
                Ok(None) => break,
                Err(_) => {
                    ledger.faults.protocol += 1;
                    return self.lose(ledger);
                }
            }
        }
        self.received = received;
        self.received.drain(..at);
    }

    fn take(&mut self, index: usize, opcode: u8, payload: &[u8], ledger: &mut Ledger, now_ns: u64) {
        let mut rest = payload;
        match opcode {
            frame::TEXT => {}
            frame::PING => {
                return frame::encode_from_client(&mut self.unsent, frame::PONG, payload);
            }
            _ => return trouble(ledger, payload),
        }
        while !rest.is_empty() {
            let (line, next) = frame::split_line(rest);
            rest = next;
            match message::read(line) {
                Line::Publication(arrival) => ledger.arrived(index, &arrival, now_ns),
                Line::Ping => frame::encode_from_client(&mut self.unsent, frame::TEXT, b"{}"),
                Line::Trouble => trouble(ledger, line),
            }
        }
    }

    fn flush(&mut self, ledger: &mut Ledger) {
        while !self.unsent.is_empty() && self.open {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.lose(ledger),
            }
        }
    }

    fn lose(&mut self, ledger: &mut Ledger) {
        self.open = false;
        ledger.faults.disconnected += 1;
    }
}

fn trouble(ledger: &mut Ledger, what: &[u8]) {
    if ledger.faults.protocol < TROUBLES_SHOWN {
        eprintln!("a socket received {}", String::from_utf8_lossy(what));
    }
    ledger.faults.protocol += 1;
}
