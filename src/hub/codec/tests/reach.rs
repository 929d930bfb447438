//! How far back a deflate stream refers (RFC 1951). Inflaters take more than the window that was agreed as long as what
//! they keep happens to be more, so that none of them can say it.

/// The largest distance in a raw deflate stream that ends with an empty stored block.
pub(super) fn reach(stream: &[u8]) -> usize {
    let mut bits = Bits { bytes: stream, at: 0 };
    let mut reach = 0;
    while bits.at + 3 <= 8 * stream.len() {
        let last = bits.take(1) == 1;
        match bits.take(2) {
            0 => {
                bits.at = bits.at.next_multiple_of(8);
                let length = bits.take(16);
                bits.at += 16 + 8 * length;
            }
            1 => {
                let lengths = [vec![8; 144], vec![9; 112], vec![7; 24], vec![8; 8]].concat();
                reach = reach.max(bits.block(&Code::new(&lengths), &Code::new(&[5; 30])));
            }
            _ => {
                let (lengths, distances) = bits.codes();
                reach = reach.max(bits.block(&lengths, &distances));
            }
        }
        if last {
            break;
        }
    }
    reach
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A canonical Huffman code: how many codes have each length, and their symbols in order.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[usize]) -> Self {
        let mut counts = [0; 16];
        let mut symbols: Vec<_> = (0..lengths.len()).filter(|at| lengths[*at] > 0).collect();
        symbols.iter().for_each(|symbol| counts[lengths[*symbol]] += 1);
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        Self { counts, symbols }
    }
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> usize {
        let bit = |at: usize| usize::from(self.bytes[at / 8] >> (at % 8) & 1);
        let value = (0..count).map(|n| bit(self.at + n) << n).sum();
        self.at += count;
        value
    }

    fn symbol(&mut self, code: &Code) -> usize {
        let (mut value, mut first, mut index) = (0, 0, 0);
        for count in &code.counts[1..] {
            value |= self.take(1);
            if value < first + count {
                return code.symbols[index + value - first];
            }
            index += count;
            first = (first + count) << 1;
            value <<= 1;
        }
        panic!("no such code")
    }

    /// The codes of a block that brings its own.
    fn codes(&mut self) -> (Code, Code) {
        let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let (literals, distances) = (self.take(5) + 257, self.take(5) + 1);
        let given = self.take(4) + 4;
        let mut of_lengths = [0; 19];
        order[..given].iter().for_each(|at| of_lengths[*at] = self.take(3));
        let code = Code::new(&of_lengths);
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (length, times) = match self.symbol(&code) {
                16 => (*lengths.last().expect("there is one to repeat"), 3 + self.take(2)),
                17 => (0, 3 + self.take(3)),
                18 => (0, 11 + self.take(7)),
                length => (length, 1),
            };
            lengths.extend(std::iter::repeat_n(length, times));
        }
        (Code::new(&lengths[..literals]), Code::new(&lengths[literals..]))
    }

    /// Passes over a block: the largest distance in it.
    fn block(&mut self, lengths: &Code, distances: &Code) -> usize {
        let mut reach = 0;
        loop {
            match self.symbol(lengths) {
                0..=255 => {}
                256 => return reach,
                length => {
                    let extra = if (265..285).contains(&length) { (length - 261) / 4 } else { 0 };
                    self.take(extra);
                    let distance = self.symbol(distances);
                    let extra = (distance / 2).saturating_sub(1);
                    let base = if distance < 2 { distance } else { (2 + distance % 2) << extra };
                    reach = reach.max(1 + base + self.take(extra));
                }
            }
        }
    }
}
