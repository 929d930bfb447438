//! Whether a subscriber got everything once and in order, channel by channel.

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

/// What one connection is subscribed to, and what it received of each channel.
#[derive(Default)]
pub struct Subscriptions {
    /// In the order of the channels.
    by_channel: Vec<(u32, Sequence)>,
}

impl Subscriptions {
    /// To these channels, by their numbers; none twice.
    pub fn to(channels: impl IntoIterator<Item = u32>) -> Self {
        let mut by_channel: Vec<_> =
            channels.into_iter().map(|channel| (channel, Sequence::default())).collect();
        by_channel.sort_unstable_by_key(|(channel, _)| *channel);
        Self { by_channel }
    }

    /// What came of a channel; `None` for one that the connection is not subscribed to.
    #[inline]
    pub fn of(&mut self, channel: u32) -> Option<&mut Sequence> {
        let at = match self.by_channel.as_slice() {
            [(only, _)] => (*only == channel).then_some(0)?,
            many => many.binary_search_by_key(&channel, |(channel, _)| *channel).ok()?,
        };
        Some(&mut self.by_channel[at].1)
    }

    /// How many deliveries have not come, of so many publications of each channel.
    pub fn lost(&self, published: &[u64]) -> u64 {
        let lost = |(channel, sequence): &(u32, Sequence)| {
            sequence.lost(published.get(*channel as usize).copied().unwrap_or(0))
        };
        self.by_channel.iter().map(lost).sum()
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

    #[test]
    fn channels_are_followed_apart() {
        let mut subscriptions = Subscriptions::to([7, 2]);
        assert!(subscriptions.of(3).is_none(), "it is not subscribed to that");
        assert_eq!(subscriptions.of(2).map(|it| it.receive(0)), Some(Arrival::InOrder));
        assert_eq!(subscriptions.of(7).map(|it| it.receive(0)), Some(Arrival::InOrder));
        assert_eq!(subscriptions.of(2).map(|it| it.receive(2)), Some(Arrival::Ahead));
        let published = [9, 9, 3, 9, 9, 9, 9, 4];
        assert_eq!(subscriptions.lost(&published), 1 + 3);
        let mut one = Subscriptions::to([5]);
        assert!(one.of(5).is_some() && one.of(4).is_none());
    }
}
