//! The raw bound: one thread, one epoll, and for each publication one `send()` of one prepared frame on each socket.
//!
//! With `--coalesce` the publications that were waiting to be read are joined into one send a socket. It has no
//! channels, no limits, no timers and no authentication: nothing that sends to N sockets can do less.

use crate::frame;
use crate::raw_protocol::{self, Command};
use anyhow::{Context, Result};
use clap::Args;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

const LISTENER: Token = Token(usize::MAX);
const SCRATCH_BYTES: usize = 256 * 1024;

/// Arguments of `raw`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// How many connections to make room for in advance.
    #[arg(long, default_value_t = 1_000)]
    pub subscribers: usize,
    /// Join the publications that queued meanwhile into one send a socket.
    #[arg(long)]
    pub coalesce: bool,
    /// Pad each push message to this many bytes, to equal another server's.
    #[arg(long, default_value_t = 0)]
    pub push_bytes: usize,
    /// Hang up on who has more than so many bytes waiting; without it, whatever waits is kept.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    pub queue_bytes: usize,
}

struct Peer {
    stream: TcpStream,
    upgraded: bool,
    subscribed: bool,
    /// An incomplete frame or handshake.
    partial: Vec<u8>,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

impl Peer {
    /// Sends, keeping what the socket does not take; false when the peer is gone.
    fn send(&mut self, bytes: &[u8]) -> bool {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return true;
        }
        match self.stream.write(bytes) {
            Ok(count) => self.unsent.extend_from_slice(&bytes[count..]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.unsent.extend_from_slice(bytes)
            }
            Err(_) => return false,
        }
        true
    }

    /// Sends what is left over, now that the socket takes more; false when the peer is gone.
    fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

struct Server {
    options: Options,
    poll: Poll,
    listener: TcpListener,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    scratch: Vec<u8>,
    message: Vec<u8>,
    /// Encoded frames that are to be broadcast, one after another.
    queue: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

/// Runs until the process is killed.
///
/// # Errors
/// When the port is taken or epoll fails.
pub fn serve(options: &Options) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let mut listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut server = Server {
        options: options.clone(),
        poll,
        listener,
        peers: Vec::with_capacity(options.subscribers + 1),
        free: Vec::new(),
        scratch: vec![0; SCRATCH_BYTES],
        message: Vec::new(),
        queue: Vec::new(),
        ends: Vec::new(),
    };
    let mut events = Events::with_capacity(1024);
    loop {
        match server.poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            outcome => outcome?,
        }
        for event in &events {
            if event.token() == LISTENER {
                server.accept()?;
                continue;
            }
            let index = event.token().0;
            if event.is_writable() && !server.peers[index].as_mut().is_none_or(Peer::flush) {
                server.remove(index);
            }
            if event.is_readable() {
                server.receive(index);
            }
        }
        server.broadcast_joined();
    }
}

impl Server {
    fn accept(&mut self) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot accept"),
            };
            stream.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or(self.peers.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(index), interest)?;
            let peer = Peer {
                stream,
                upgraded: false,
                subscribed: false,
                partial: Vec::new(),
                unsent: Vec::new(),
            };
            if index == self.peers.len() {
                self.peers.push(Some(peer));
            } else {
                self.peers[index] = Some(peer);
            }
        }
    }

    fn remove(&mut self, index: usize) {
        if self.peers[index].take().is_some() {
            self.free.push(index);
        }
    }

    /// Reads all there is (edge-triggered), and broadcasts at once unless publications are to be joined.
    fn receive(&mut self, index: usize) {
        loop {
            let Some(peer) = self.peers[index].as_mut() else {
                return;
            };
            let kept = peer.partial.len();
            self.scratch[..kept].copy_from_slice(&peer.partial);
            let count = match peer.stream.read(&mut self.scratch[kept..]) {
                Ok(0) => return self.remove(index),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.remove(index),
            };
            peer.partial.clear();
            let filled = kept + count;
            if !self.handle(index, filled) {
                return self.remove(index);
            }
            if !self.options.coalesce {
                self.broadcast_each();
            }
            if filled < self.scratch.len() {
                // A short read has emptied the socket; new bytes are a new edge.
                return;
            }
        }
    }

    /// Handles `filled` bytes of the scratch buffer; false when the peer is to go.
    fn handle(&mut self, index: usize, filled: usize) -> bool {
        let Some(peer) = self.peers[index].as_mut() else {
            return false;
        };
        let bytes = &mut self.scratch[..filled];
        let mut at = 0;
        if !peer.upgraded {
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                peer.partial.extend_from_slice(bytes);
                return filled < 8192;
            };
            peer.upgraded = true;
            at = end + 4;
            if !peer.send(raw_protocol::upgrade_answer().as_bytes()) {
                return false;
            }
        }
        loop {
            let header = match frame::scan(&bytes[at..]) {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(_) => return false,
            };
            let payload = &mut bytes[at + header.start..at + header.end];
            at += header.end;
            let Some(mask) = header.mask else {
                return false;
            };
            frame::apply_mask(payload, mask);
            if header.opcode != frame::TEXT {
                return false;
            }
            let Ok(line) = std::str::from_utf8(payload) else {
                return false;
            };
            let Some((id, command)) = raw_protocol::parse(line) else {
                continue;
            };
            self.message.clear();
            raw_protocol::encode_reply(&mut self.message, id, &command);
            if !peer.send(&self.message) {
                return false;
            }
            match command {
                Command::Subscribe => peer.subscribed = true,
                Command::Publish { channel, data } => {
                    let bytes = self.options.push_bytes;
                    raw_protocol::encode_push(
                        &mut self.queue,
                        &mut self.message,
                        channel,
                        data,
                        bytes,
                    );
                    self.ends.push(self.queue.len());
                }
                Command::Other(_) => {}
            }
        }
        peer.partial.extend_from_slice(&bytes[at..]);
        true
    }

    fn broadcast_each(&mut self) {
        let mut start = 0;
        for at in 0..self.ends.len() {
            let end = self.ends[at];
            self.send_to_all(start, end);
            start = end;
        }
        self.queue.clear();
        self.ends.clear();
    }

    fn broadcast_joined(&mut self) {
        if !self.queue.is_empty() {
            self.send_to_all(0, self.queue.len());
            self.queue.clear();
            self.ends.clear();
        }
    }

    fn send_to_all(&mut self, start: usize, end: usize) {
        let (bytes, most) = (&self.queue[start..end], self.options.queue_bytes);
        for (index, slot) in self.peers.iter_mut().enumerate() {
            if let Some(peer) = slot
                && peer.subscribed
                && (!peer.send(bytes) || peer.unsent.len() > most)
            {
                *slot = None;
                self.free.push(index);
            }
        }
    }
}
