//! The outlet of a connection: where its bytes go, whatever carries them.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::SendFlags;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::rustls::ServerConnection;

/// A transport on its way to the thread that will own it.
pub enum Transport {
    /// A plain TCP socket in non-blocking mode.
    Tcp(std::net::TcpStream),
    /// A TCP socket and the TLS session that was negotiated on it.
    Tls(std::net::TcpStream, Box<ServerConnection>),
    /// The body of an HTTP response, for transports without an upgrade.
    Body(mpsc::Sender<Bytes>),
}

/// A transport that a shard owns. All calls but the two waits return at once.
pub enum Outlet {
    /// A plain TCP socket.
    Tcp(TcpStream),
    /// A TCP socket under TLS.
    Tls(TcpStream, Box<RefCell<ServerConnection>>),
    /// The body of an HTTP response.
    Body(mpsc::Sender<Bytes>),
}

/// How much plain text is given to TLS at once: one record of the largest size.
const TLS_RECORD_BYTES: usize = 16 * 1024;

impl Outlet {
    /// Registers the transport with the current thread's runtime.
    pub fn register(transport: Transport) -> io::Result<Self> {
        Ok(match transport {
            Transport::Tcp(socket) => Self::Tcp(TcpStream::from_std(socket)?),
            Transport::Tls(socket, tls) => {
                Self::Tls(TcpStream::from_std(socket)?, Box::new(RefCell::new(*tls)))
            }
            Transport::Body(body) => Self::Body(body),
        })
    }

    /// Waits until [`Outlet::try_read`] has something to say.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            // What TLS has decrypted already, the socket will not announce again: it may
            // have come in one record with the upgrade request.
            Self::Tls(_, tls) if !tls.borrow().wants_read() => Ok(()),
            Self::Tcp(socket) | Self::Tls(socket, _) => socket.readable().await,
            Self::Body(body) => {
                body.closed().await;
                Ok(())
            }
        }
    }

    /// Waits until [`Outlet::try_write`] may take more.
    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) | Self::Tls(socket, _) => socket.writable().await,
            Self::Body(body) => match body.reserve().await {
                Ok(_) => Ok(()),
                Err(_) => Err(ErrorKind::BrokenPipe.into()),
            },
        }
    }

    /// Reads what has arrived; 0 is the end of the stream.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_read(buffer),
            Self::Tls(socket, tls) => read_tls(socket, &mut tls.borrow_mut(), buffer),
            Self::Body(body) if body.is_closed() => Ok(0),
            Self::Body(_) => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Reads what [`Outlet::try_write`] begins with, and makes a number of it that says nothing.
    pub fn glance(&self) -> usize {
        match self {
            Self::Tcp(socket) | Self::Tls(socket, _) => socket.as_raw_fd() as usize,
            Self::Body(_) => 0,
        }
    }

    /// Writes as much of `bytes` as is taken at once, in one system call.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => send(socket, bytes),
            Self::Tls(socket, tls) => write_tls(socket, &mut tls.borrow_mut(), bytes),
            Self::Body(body) => match body.try_send(Bytes::copy_from_slice(bytes)) {
                Ok(()) => Ok(bytes.len()),
                Err(mpsc::error::TrySendError::Full(_)) => Err(ErrorKind::WouldBlock.into()),
                Err(mpsc::error::TrySendError::Closed(_)) => Err(ErrorKind::BrokenPipe.into()),
            },
        }
    }

    /// Whether TLS holds bytes back that it took.
    pub fn holds_back(&self) -> bool {
        matches!(self, Self::Tls(_, tls) if tls.borrow().wants_write())
    }

    /// Passes on what TLS still holds of bytes that it took. `WouldBlock` while
    /// the socket takes no more.
    pub fn try_flush(&self) -> io::Result<()> {
        match self {
            Self::Tcp(_) | Self::Body(_) => Ok(()),
            Self::Tls(socket, tls) => flush_tls(socket, &mut tls.borrow_mut()),
        }
    }

    /// Says that nothing more will be written.
    pub fn finish(&self) {
        match self {
            Self::Tcp(socket) => shut_down(socket),
            Self::Tls(socket, tls) => {
                let mut tls = tls.borrow_mut();
                tls.send_close_notify();
                // A peer that takes no more bytes learns it from the end of the stream.
                let _ = flush_tls(socket, &mut tls);
                shut_down(socket);
            }
            Self::Body(_) => {}
        }
    }
}

/// Sends without asking the runtime first whether the socket is ready, which
/// would touch memory of its own for every socket of a fan-out. Only a socket
/// that takes nothing is tried again through the runtime, which then knows that
/// it has to wait.
fn send(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Err(Errno::AGAIN | Errno::INTR) => socket.try_write(bytes),
        outcome => Ok(outcome?),
    }
}

fn shut_down(socket: &TcpStream) {
    // `SO_LINGER` stays off: what is queued in the kernel is still sent.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
}

/// Gives rustls the blocking interface that it wants over a socket that never blocks.
struct Attempt<'a>(&'a TcpStream);

impl Read for Attempt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Attempt<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn read_tls(
    socket: &TcpStream,
    tls: &mut ServerConnection,
    buffer: &mut [u8],
) -> io::Result<usize> {
    loop {
        match tls.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // A peer that ends TLS without saying so is at its end all the same.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
            other => return other,
        }
        if tls.read_tls(&mut Attempt(socket))? == 0 {
            return Ok(0);
        }
        tls.process_new_packets().map_err(io::Error::other)?;
        // Answers to a renegotiation or key update go out with the next write otherwise.
        match flush_tls(socket, tls) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
}

fn write_tls(socket: &TcpStream, tls: &mut ServerConnection, bytes: &[u8]) -> io::Result<usize> {
    // Nothing new is encrypted before the last record is out, so what TLS holds stays bounded.
    flush_tls(socket, tls)?;
    let taken = tls.writer().write(&bytes[..bytes.len().min(TLS_RECORD_BYTES)])?;
    match flush_tls(socket, tls) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ => Ok(taken),
    }
}

fn flush_tls(socket: &TcpStream, tls: &mut ServerConnection) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(&mut Attempt(socket))?;
    }
    Ok(())
}
