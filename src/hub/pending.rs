//! What waits to be written to one connection.

use bytes::Bytes;

/// Frames that wait, the oldest first. Most connections wait for none or one,
/// which takes no memory of its own; a list is borrowed from the shard's spare
/// ones, so that none is allocated in a steady state.
#[derive(Default)]
pub struct Pending {
    frames: Frames,
    /// Bytes that are not written yet.
    bytes: usize,
    /// Bytes of the first frame that are written.
    written: usize,
    /// Bytes that no bound counts until everything has been written.
    exempt: usize,
}

#[derive(Default)]
enum Frames {
    #[default]
    None,
    One(Bytes),
    Many(Vec<Bytes>),
}

/// Emptied lists, for the next connection that needs one.
pub type Spare = Vec<Vec<Bytes>>;

impl Pending {
    /// Bytes that are not written yet.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that wait behind the frame that is written next and count against
    /// the bound. A large answer on its own is no backlog: it takes the time that it takes.
    pub fn backlog(&self) -> usize {
        match &self.frames {
            Frames::None | Frames::One(_) => 0,
            Frames::Many(list) => {
                (self.bytes - (list[0].len() - self.written)).saturating_sub(self.exempt)
            }
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        matches!(self.frames, Frames::None)
    }

    /// Adds a frame at the end.
    pub fn push(&mut self, frame: Bytes, spare: &mut Spare) {
        self.bytes += frame.len();
        self.frames = match std::mem::take(&mut self.frames) {
            Frames::None => Frames::One(frame),
            Frames::One(first) => {
                let mut list = spare.pop().unwrap_or_default();
                list.extend([first, frame]);
                Frames::Many(list)
            }
            Frames::Many(mut list) => {
                list.push(frame);
                Frames::Many(list)
            }
        };
    }

    /// Lets `count` bytes that were or will be pushed count against no bound
    /// until everything has been written.
    pub fn exempt(&mut self, count: usize) {
        self.exempt += count;
    }

    /// Accounts for `count` bytes that the outlet took.
    pub fn took(&mut self, count: usize, spare: &mut Spare) {
        self.bytes -= count;
        if self.bytes == 0 {
            (self.written, self.exempt) = (0, 0);
            if let Frames::Many(mut list) = std::mem::take(&mut self.frames) {
                list.clear();
                spare.push(list);
            }
            return;
        }
        self.written += count;
        if let Frames::Many(list) = &mut self.frames {
            let mut whole = 0;
            while self.written >= list[whole].len() {
                self.written -= list[whole].len();
                whole += 1;
            }
            list.drain(..whole);
        }
    }

    /// Gives up all but a frame of which a part is written already.
    pub fn keep_begun(&mut self) {
        let begun = (self.written > 0).then(|| self.frames().first().cloned()).flatten();
        self.bytes = begun.as_ref().map_or(0, |frame| frame.len() - self.written);
        self.frames = begun.map_or(Frames::None, Frames::One);
    }

    /// What is to be written next, in one piece: a lone frame as it is, several
    /// joined in `joined` up to about `limit` bytes.
    pub fn chunk<'a>(&'a self, joined: &'a mut Joined, limit: usize) -> &'a [u8] {
        match &self.frames {
            Frames::None => &[],
            Frames::One(frame) => &frame[self.written..],
            Frames::Many(list) => joined.join(list, self.written, limit),
        }
    }

    /// Appends everything that waits to `buffer`.
    pub fn copy_to(&self, buffer: &mut Vec<u8>) {
        let mut skip = self.written;
        for frame in self.frames() {
            buffer.extend_from_slice(&frame[skip..]);
            skip = 0;
        }
    }

    fn frames(&self) -> &[Bytes] {
        match &self.frames {
            Frames::None => &[],
            Frames::One(frame) => std::slice::from_ref(frame),
            Frames::Many(list) => list,
        }
    }
}

/// The last joined list of frames. In a fan-out every connection waits for the
/// same frames, which are then copied together once and not once a connection.
#[derive(Default)]
pub struct Joined {
    buffer: Vec<u8>,
    /// Address and length of each frame in `buffer`.
    of: Vec<(usize, usize)>,
}

impl Joined {
    /// To be called whenever frames may have been freed and allocated since: an
    /// address then no longer says which frame it is.
    pub fn forget(&mut self) {
        self.of.clear();
    }

    fn join(&mut self, list: &[Bytes], written: usize, limit: usize) -> &[u8] {
        let identity = |frame: &Bytes| (frame.as_ptr().addr(), frame.len());
        if written == 0
            && !self.of.is_empty()
            && list.iter().map(identity).eq(self.of.iter().copied())
        {
            return &self.buffer;
        }
        self.buffer.clear();
        self.of.clear();
        let mut skip = written;
        let mut whole = written == 0;
        for frame in list {
            if self.buffer.len() >= limit {
                whole = false;
                break;
            }
            self.buffer.extend_from_slice(&frame[skip..]);
            skip = 0;
        }
        if whole {
            self.of.extend(list.iter().map(identity));
        }
        &self.buffer
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_taken_in_any_pieces_is_what_was_pushed(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..12),
            pieces in proptest::collection::vec(1_usize..60, 1..200),
            limit in 1_usize..100,
        ) {
            let (mut pending, mut spare, mut joined) = (Pending::default(), Spare::new(), Joined::default());
            let expected: Vec<u8> = frames.concat();
            let mut frames = frames.into_iter();
            let mut written = Vec::new();
            for piece in pieces.iter().cycle() {
                if let Some(frame) = frames.next() {
                    pending.push(frame.into(), &mut spare);
                }
                if pending.is_empty() {
                    break;
                }
                joined.forget();
                let chunk = pending.chunk(&mut joined, limit);
                let count = chunk.len().min(*piece);
                written.extend_from_slice(&chunk[..count]);
                pending.took(count, &mut spare);
            }
            prop_assert_eq!(written, expected);
            prop_assert_eq!(pending.bytes(), 0);
            prop_assert!(pending.is_empty());
        }
    }

    #[test]
    fn a_list_is_joined_once_for_all_that_wait_for_the_same_frames() {
        let (mut spare, mut joined) = (Spare::new(), Joined::default());
        let frames: Vec<Bytes> = (0..16_u8).map(|n| Bytes::from(vec![n; 10])).collect();
        let waiting = |frames: &[Bytes], spare: &mut Spare| {
            let mut pending = Pending::default();
            frames.iter().for_each(|frame| pending.push(frame.clone(), spare));
            pending
        };
        let (one, other) = (waiting(&frames, &mut spare), waiting(&frames, &mut spare));
        let fewer = waiting(&frames[1..], &mut spare);
        assert_eq!(one.chunk(&mut joined, 1_000), frames.concat());
        assert_eq!(other.chunk(&mut joined, 1_000), frames.concat());
        assert_eq!(fewer.chunk(&mut joined, 1_000), frames[1..].concat());
    }

    #[test]
    fn only_the_rest_of_a_begun_frame_is_kept_for_the_last_words() {
        let (mut pending, mut spare) = (Pending::default(), Spare::new());
        pending.push(Bytes::from_static(b"first"), &mut spare);
        pending.push(Bytes::from_static(b"second"), &mut spare);
        pending.took(2, &mut spare);
        pending.keep_begun();
        let mut rest = Vec::new();
        pending.copy_to(&mut rest);
        assert_eq!((rest.as_slice(), pending.bytes()), (&b"rst"[..], 3));
    }
}
