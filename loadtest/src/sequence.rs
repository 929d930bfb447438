//! Whether a subscriber got everything once and in order.

/// How a received number fits what came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is the next one.
    InOrder,
    /// It is new, but numbers before it have not come yet.
    Ahead,
    /// It had been passed over and comes late.
    Late,
    /// It was here before.
    Repeated,
}

/// Follows the numbers that one subscriber receives, which start at 0.
#[derive(Default)]
pub struct Sequence {
    next: u64,
    /// Numbers below `next` that have not come; stays unallocated while all goes well.
    missing: Vec<u64>,
}

impl Sequence {
    /// Takes a received number.
    #[inline]
    pub fn receive(&mut self, number: u64) -> Arrival {
        if number == self.next {
            self.next += 1;
            return Arrival::InOrder;
        }
        self.receive_out_of_order(number)
    }

    #[cold]
    fn receive_out_of_order(&mut self, number: u64) -> Arrival {
        if number > self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
            return Arrival::Ahead;
        }
        match self.missing.iter().position(|missing| *missing == number) {
            Some(at) => {
                self.missing.swap_remove(at);
                Arrival::Late
            }
            None => Arrival::Repeated,
        }
    }

    /// How many of the numbers below `published` have not come.
    pub fn lost(&self, published: u64) -> u64 {
        self.missing.len() as u64 + published.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(numbers: &[u64]) -> (Vec<Arrival>, Sequence) {
        let mut sequence = Sequence::default();
        let arrivals = numbers.iter().map(|number| sequence.receive(*number)).collect();
        (arrivals, sequence)
    }

    #[test]
    fn in_order_nothing_is_lost() {
        let (arrivals, sequence) = follow(&[0, 1, 2]);
        assert_eq!(arrivals, [Arrival::InOrder; 3]);
        assert_eq!((sequence.lost(3), sequence.lost(5)), (0, 2));
    }

    #[test]
    fn a_gap_is_lost_until_it_arrives_late() {
        let (arrivals, mut sequence) = follow(&[0, 3, 4]);
        assert_eq!(arrivals, [Arrival::InOrder, Arrival::Ahead, Arrival::InOrder]);
        assert_eq!(sequence.lost(5), 2);
        assert_eq!(sequence.receive(2), Arrival::Late);
        assert_eq!(sequence.receive(2), Arrival::Repeated);
        assert_eq!(sequence.lost(5), 1);
    }

    #[test]
    fn a_repeat_is_no_loss() {
        let (arrivals, sequence) = follow(&[0, 0, 1, 0]);
        use Arrival::{InOrder, Repeated};
        assert_eq!(arrivals, [InOrder, Repeated, InOrder, Repeated]);
        assert_eq!(sequence.lost(2), 0);
    }

    #[test]
    fn who_receives_nothing_lost_everything() {
        assert_eq!(Sequence::default().lost(9), 9);
    }
}
