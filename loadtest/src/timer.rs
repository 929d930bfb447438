//! Wakes an epoll at a moment: by itself it knows nothing shorter than a millisecond.

use anyhow::{Context, Result};
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::time::Duration;

/// A timer that goes off once each time it is set.
pub struct Timer {
    timer: OwnedFd,
}

impl Timer {
    /// Makes events with this token. They need no reading: each time it goes off is an edge.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn register(poll: &Poll, token: Token) -> Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).context("no timer")?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer })
    }

    /// Goes off after this time, and not when it was set to before.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set(&self, after: Duration) -> Result<()> {
        // A time of zero would stop the timer.
        let after = after.max(Duration::from_nanos(1));
        let it_value =
            Timespec { tv_sec: after.as_secs() as i64, tv_nsec: after.subsec_nanos() as _ };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::Events;
    use std::time::Instant;

    #[test]
    fn it_goes_off_again_and_again_without_being_read_and_not_before_its_time() {
        let mut poll = Poll::new().unwrap();
        let timer = Timer::register(&poll, Token(3)).unwrap();
        let mut events = Events::with_capacity(4);
        for after in [0, 300, 2_500].map(Duration::from_micros) {
            let began = Instant::now();
            timer.set(after).unwrap();
            poll.poll(&mut events, Some(Duration::from_secs(20))).unwrap();
            assert!(events.iter().any(|event| event.token() == Token(3)), "after {after:?}");
            assert!(began.elapsed() >= after);
        }
    }
}
