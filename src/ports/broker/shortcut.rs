//! The short way from a broker in this process to the hub.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::domain::publication::Delivery;

/// Hands a delivery over without waiting, or gives it back and has done nothing.
type HandOver = Box<dyn Fn(Delivery) -> Result<(), Delivery> + Send + Sync>;

/// Takes publications that have no place in a stream from the thread that publishes them straight to where their
/// subscribers are. Nobody but those is woken for it.
///
/// What comes on this way and what comes through the broker's queue is seen in one order by all subscribers of the node, and
/// nothing overtakes what its publisher said before: this way is open only while nothing is on the other.
#[derive(Default)]
pub struct Shortcut {
    hand_over: OnceLock<HandOver>,
    /// What is in the queue, or was taken from it and is not handed over yet.
    queued: AtomicUsize,
    /// Held by whoever hands something over on this way.
    turn: Mutex<()>,
}

impl Shortcut {
    /// Opens the way; only the first time counts.
    pub fn open(
        &self,
        hand_over: impl Fn(Delivery) -> Result<(), Delivery> + Send + Sync + 'static,
    ) {
        // One more could lead to nowhere else.
        let _ = self.hand_over.set(Box::new(hand_over));
    }

    /// Hands a delivery over, or gives it back: then it has to go through the queue.
    pub fn take(&self, delivery: Delivery) -> Result<(), Delivery> {
        let Some(hand_over) = self.hand_over.get() else { return Err(delivery) };
        let _turn = self.turn();
        // Within the turn: whoever has put something into the queue before `begin` got its own turn is seen here.
        if self.queued.load(Ordering::SeqCst) > 0 {
            return Err(delivery);
        }
        hand_over(delivery)
    }

    /// To be called before something is put into the queue.
    pub fn queued(&self) {
        self.queued.fetch_add(1, Ordering::SeqCst);
    }

    /// To be called before what was taken from the queue is handed over: what came on the short way has been handed over
    /// then, and nothing more comes until [`Shortcut::arrived`] is called.
    pub fn begin(&self) {
        drop(self.turn());
    }

    /// To be called when `count` of the queue have been handed over.
    pub fn arrived(&self, count: usize) {
        self.queued.fetch_sub(count, Ordering::SeqCst);
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        // There is nothing under it that could be left half done.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::adapters::contract::publication;
    use crate::domain::channel::ChannelName;
    use crate::domain::publication::Publication;

    fn delivery() -> Delivery {
        let body = crate::adapters::contract::absent::body_of(&publication(1));
        let publication = Publication { offset: 0, event: None, body };
        Delivery { channel: ChannelName::feed(), epoch: None, publication }
    }

    #[test]
    fn the_short_way_is_open_only_while_nothing_is_on_the_long_one() {
        let shortcut = Shortcut::default();
        assert!(shortcut.take(delivery()).is_err(), "it leads nowhere yet");
        let taken = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&taken);
        shortcut.open(move |_| {
            counting.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        assert!(shortcut.take(delivery()).is_ok());
        (0..2).for_each(|_| shortcut.queued());
        assert!(shortcut.take(delivery()).is_err());
        shortcut.begin();
        shortcut.arrived(1);
        assert!(shortcut.take(delivery()).is_err(), "one is still on its way");
        shortcut.arrived(1);
        assert!(shortcut.take(delivery()).is_ok());
        assert_eq!(taken.load(Ordering::Relaxed), 2);
    }
}
