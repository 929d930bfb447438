//! One timing wheel for all connections of a shard, instead of a timer each.

/// A hashed timing wheel (Varghese and Lauck, 1987). Time is counted in ticks
/// of the shard; an entry further away than one turn is put back when its slot
/// comes round. Entries are never removed early: whoever receives one checks
/// whether it still has a meaning.
pub struct Wheel<T> {
    slots: Vec<Vec<(u64, T)>>,
    now: u64,
}

const SLOTS: usize = 512;

impl<T> Wheel<T> {
    /// An empty wheel at tick 0.
    pub fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), now: 0 }
    }

    /// The current tick.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Hands `entry` back at tick `due`, or at the next tick if that is past.
    pub fn schedule(&mut self, due: u64, entry: T) {
        let due = due.max(self.now + 1);
        self.slots[slot_of(due)].push((due, entry));
    }

    /// Moves on by one tick and puts the entries that are due into `expired`.
    pub fn advance(&mut self, expired: &mut Vec<T>) {
        self.now += 1;
        let entries = std::mem::take(&mut self.slots[slot_of(self.now)]);
        for (due, entry) in entries {
            if due <= self.now {
                expired.push(entry);
            } else {
                self.slots[slot_of(due)].push((due, entry));
            }
        }
    }
}

fn slot_of(tick: u64) -> usize {
    (tick % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_at_their_tick_even_after_several_turns() {
        let mut wheel = Wheel::new();
        for due in [0, 1, 3, 600, 1_200] {
            wheel.schedule(due, due);
        }
        let mut seen = Vec::new();
        for tick in 1..=1_300_u64 {
            let mut expired = Vec::new();
            wheel.advance(&mut expired);
            expired.sort_unstable();
            seen.extend(expired.into_iter().map(|entry| (tick, entry)));
        }
        assert_eq!(seen, [(1, 0), (1, 1), (3, 3), (600, 600), (1_200, 1_200)]);
    }
}
