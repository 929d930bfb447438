//! Fossil deltas: what has changed from one payload to the next
//! (<https://fossil-scm.org/home/doc/trunk/www/delta_format.wiki>).
//!
//! A delta is the length of the result and a newline; then, each with its length before it, copies (`@`) of parts of the
//! source and pieces (`:`) of the result; last its checksum and `;`. Numbers are written with 64 digits.

use rustc_hash::FxHashMap;

/// What is looked for in the source, in bytes. Nothing shorter is worth a copy, which takes up to as many.
const BLOCK: usize = 16;

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// Writes what makes `target` of `source`. Copies begin and end between characters, so that the delta of texts is a text.
pub fn create(source: &str, target: &str) -> String {
    let mut delta = String::with_capacity(target.len() / 4 + 32);
    write_number(&mut delta, target.len());
    delta.push('\n');
    let blocks = source.as_bytes().chunks_exact(BLOCK).enumerate().rev();
    // The first of equal blocks stays, as the rest of the target most likely goes on there.
    let index: FxHashMap<&[u8], usize> = blocks.map(|(n, block)| (block, n * BLOCK)).collect();
    let (mut told, mut place) = (0, 0);
    while let Some(window) = target.as_bytes().get(place..place + BLOCK) {
        let copy = index.get(window).and_then(|at| Copy::around(source, target, *at, place, told));
        let Some(Copy { from, to, length }) = copy else {
            place += 1;
            continue;
        };
        write_piece(&mut delta, &target[told..to]);
        write_number(&mut delta, length);
        delta.push('@');
        write_number(&mut delta, from);
        delta.push(',');
        (told, place) = (to + length, to + length);
    }
    write_piece(&mut delta, &target[told..]);
    write_number(&mut delta, checksum(target.as_bytes()) as usize);
    delta.push(';');
    delta
}

/// A part that source and target have in common.
struct Copy {
    from: usize,
    to: usize,
    length: usize,
}

impl Copy {
    /// The longest one around two equal blocks that takes nothing before `told` in the target.
    fn around(source: &str, target: &str, from: usize, to: usize, told: usize) -> Option<Self> {
        let (ours, theirs) = (source.as_bytes(), target.as_bytes());
        let before = ours[..from].iter().rev().zip(theirs[told..to].iter().rev());
        let before = before.take_while(|(a, b)| a == b).count();
        let (from, mut to) = (from - before, to - before);
        let after = ours[from..].iter().zip(&theirs[to..]).take_while(|(a, b)| a == b).count();
        let end = target.floor_char_boundary(to + after);
        let start = target.ceil_char_boundary(to);
        let from = from + (start - to);
        to = start;
        let length = end.checked_sub(to)?;
        (length >= BLOCK).then_some(Self { from, to, length })
    }
}

fn write_piece(delta: &mut String, piece: &str) {
    if !piece.is_empty() {
        write_number(delta, piece.len());
        delta.push(':');
        delta.push_str(piece);
    }
}

fn write_number(delta: &mut String, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(6).max(1);
    for digit in (0..digits).rev() {
        delta.push(char::from(DIGITS[number >> (digit * 6) & 63]));
    }
}

/// The sum of all big-endian words of four bytes, the last one filled with zeros.
fn checksum(bytes: &[u8]) -> u32 {
    let word = |chunk: &[u8]| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        u32::from_be_bytes(word)
    };
    bytes.chunks(4).map(word).fold(0, u32::wrapping_add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Applies a delta, as the format's description says.
    fn apply(source: &str, delta: &str) -> Vec<u8> {
        let (length, mut rest) = take_number(delta.as_bytes());
        assert_eq!(rest[0], b'\n');
        rest = &rest[1..];
        let mut target = Vec::new();
        loop {
            let (count, after) = take_number(rest);
            let (operator, after) = (after[0], &after[1..]);
            match operator {
                b'@' => {
                    let (from, after) = take_number(after);
                    assert_eq!(after[0], b',');
                    target.extend_from_slice(&source.as_bytes()[from..from + count]);
                    rest = &after[1..];
                }
                b':' => {
                    target.extend_from_slice(&after[..count]);
                    rest = &after[count..];
                }
                _ => {
                    assert_eq!((operator, after.len()), (b';', 0));
                    assert_eq!(count, checksum(&target) as usize);
                    assert_eq!(length, target.len());
                    return target;
                }
            }
        }
    }

    fn take_number(bytes: &[u8]) -> (usize, &[u8]) {
        let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte);
        let count = bytes.iter().take_while(|byte| digit(byte).is_some()).count();
        let number = bytes[..count].iter().filter_map(digit);
        (number.fold(0, |number, digit| number << 6 | digit), &bytes[count..])
    }

    #[test]
    fn what_is_nearly_the_same_is_told_in_few_bytes() {
        let list = |likes: u32| {
            let item =
                |n: u32| format!(r#"{{"rank":{n},"title":"Post {n}","likes":{}}}"#, likes + n);
            (1..50).map(item).collect::<Vec<_>>().join(",")
        };
        let (source, target) = (list(10_000), list(10_000).replace("10025", "10026"));
        let delta = create(&source, &target);
        assert_eq!(apply(&source, &delta), target.as_bytes());
        assert!(delta.len() < 40, "{delta}");
        assert_eq!(create("", ""), "0\n0;");
    }

    #[test]
    fn the_example_of_the_checksum_holds() {
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(b"\x01\x02\x03\x04\xff"), 0x0102_0304_u32.wrapping_add(0xff00_0000));
    }

    proptest! {
        #[test]
        fn a_delta_makes_the_target_of_the_source(
            parts in proptest::collection::vec("[aé€😀 ]{0,40}", 1..8),
            picked in proptest::collection::vec((0..8_usize, "[bé😀]{0,5}"), 0..8),
        ) {
            let source = parts.concat();
            let target: String =
                picked.iter().map(|(n, new)| format!("{}{new}", parts[n % parts.len()])).collect();
            let delta = create(&source, &target);
            prop_assert_eq!(apply(&source, &delta), target.as_bytes());
        }
    }
}
