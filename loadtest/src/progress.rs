//! One line about a run that goes on, rewritten once a second where standard error is a terminal.

use hdrhistogram::Histogram;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How often the line is written.
const INTERVAL: Duration = Duration::from_secs(1);
/// Goes to the beginning of the line, and clears what was longer there.
const ERASE: &str = "\r\x1b[K";

/// What a line says, as far as the run knows it.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Figures {
    /// What counts up, and by which name, such as publications: told with its speed.
    pub counts: Vec<(&'static str, u64)>,
    /// 99th percentile so far, in milliseconds; none while nothing was measured.
    pub p99_ms: Option<f64>,
    /// What went wrong so far.
    pub faults: u64,
}

/// The 99th percentile of latencies in microseconds, in milliseconds; none of none.
pub fn p99_ms(latencies: &Histogram<u64>) -> Option<f64> {
    (!latencies.is_empty()).then(|| latencies.value_at_quantile(0.99) as f64 / 1e3)
}

/// Writes the line.
pub struct Progress {
    terminal: bool,
    next_ns: u64,
    last: (u64, Figures),
    written: bool,
}

impl Progress {
    /// On standard error, if that is a terminal.
    pub fn on_stderr() -> Self {
        Self::new(std::io::stderr().is_terminal())
    }

    fn new(terminal: bool) -> Self {
        Self {
            terminal,
            next_ns: INTERVAL.as_nanos() as u64,
            last: (0, Figures::default()),
            written: false,
        }
    }

    /// Writes the line if it is time to, `now_ns` after the beginning of the run; asks for figures only then.
    #[inline]
    pub fn tell(&mut self, now_ns: u64, figures: impl FnOnce() -> Figures) {
        if self.terminal && now_ns >= self.next_ns {
            self.write(now_ns, figures());
        }
    }

    #[cold]
    fn write(&mut self, now_ns: u64, figures: Figures) {
        let text = line(&self.last, now_ns, &figures);
        let mut stderr = std::io::stderr().lock();
        // Progress that nobody can see is no reason to stop.
        let _ = write!(stderr, "{ERASE}{text}").and_then(|()| stderr.flush());
        self.next_ns = now_ns + INTERVAL.as_nanos() as u64;
        self.last = (now_ns, figures);
        self.written = true;
    }

    /// Writes the line again and again, for a run on other threads, until `over` has no sender any more.
    pub fn watch(mut self, over: &Receiver<()>, figures: impl Fn() -> Figures) {
        let began = std::time::Instant::now();
        while self.terminal && over.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
            self.tell(began.elapsed().as_nanos() as u64, &figures);
        }
    }
}

impl Drop for Progress {
    /// What is printed next begins on a line of its own.
    fn drop(&mut self) {
        if self.written {
            eprintln!();
        }
    }
}

/// The text: seconds, each count with its speed since the last line, the 99th percentile and the faults.
fn line(last: &(u64, Figures), now_ns: u64, figures: &Figures) -> String {
    let seconds = now_ns.saturating_sub(last.0) as f64 / 1e9;
    let mut text = format!("{:>4} s", now_ns / 1_000_000_000);
    for (name, count) in &figures.counts {
        let before = last.1.counts.iter().find(|(other, _)| other == name).map_or(0, |it| it.1);
        let speed = count.saturating_sub(before) as f64 / seconds;
        text.push_str(&format!("  {count} {name} ({speed:.0}/s)"));
    }
    if let Some(ms) = figures.p99_ms {
        text.push_str(&format!("  p99 {ms:.1} ms"));
    }
    text.push_str(&format!("  {} faults", figures.faults));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(published: u64, delivered: u64, p99_ms: Option<f64>, faults: u64) -> Figures {
        let counts = vec![("published", published), ("delivered", delivered)];
        Figures { counts, p99_ms, faults }
    }

    #[test]
    fn the_line_tells_speeds_since_the_last_one() {
        let first = figures(30, 30_000, None, 0);
        let text = line(&(0, Figures::default()), 1_000_000_000, &first);
        assert_eq!(text, "   1 s  30 published (30/s)  30000 delivered (30000/s)  0 faults");
        let text =
            line(&(1_000_000_000, first), 3_000_000_000, &figures(90, 80_000, Some(7.25), 2));
        let wanted = "   3 s  90 published (30/s)  80000 delivered (25000/s)  p99 7.2 ms  2 faults";
        assert_eq!(text, wanted);
    }

    #[test]
    fn nothing_is_asked_for_before_its_time_or_without_a_terminal() {
        let nobody = || -> Figures { panic!("nobody sees it") };
        let mut progress = Progress::new(true);
        progress.tell(999_999_999, nobody);
        let mut progress = Progress::new(false);
        progress.tell(u64::MAX, nobody);
    }

    #[test]
    fn nothing_has_no_percentile() {
        let mut latencies = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
        assert_eq!(p99_ms(&latencies), None);
        latencies.saturating_record(2_000);
        assert_eq!(p99_ms(&latencies).map(f64::round), Some(2.0));
    }
}
