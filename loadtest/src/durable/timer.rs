//! Wakes an epoll loop when something is due: epoll alone knows no less than a millisecond.

use anyhow::Result;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// A timer that an epoll loop hears of.
pub struct Timer {
    descriptor: OwnedFd,
}

impl Timer {
    /// A timer that is not set, and whose events have this token.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn register(poll: &Poll, token: Token) -> Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let raw = descriptor.as_raw_fd();
        poll.registry().register(&mut SourceFd(&raw), token, Interest::READABLE)?;
        Ok(Self { descriptor })
    }

    /// Goes off once, after so many nanoseconds.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set(&self, after_ns: u64) -> Result<()> {
        // A time of zero would stop the timer.
        let after_ns = after_ns.max(1);
        let after = Timespec {
            tv_sec: (after_ns / 1_000_000_000) as i64,
            tv_nsec: (after_ns % 1_000_000_000) as _,
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: after };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}
