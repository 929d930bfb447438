//! What is published: an object of a given length that carries its number and the time at which it was meant to go.

use std::io::Write as _;

/// Precedes the stamp in the data, and occurs nowhere else in a message.
const MARKER: &[u8] = b"\"bench\":\"";
const DIGITS: usize = 16;
/// `{"bench":"` + two numbers of 16 hexadecimal digits + `"}`.
pub const SHORTEST: usize = 1 + MARKER.len() + 2 * DIGITS + 2;

/// The number and intended time of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the publication in its run, from 0.
    pub sequence: u64,
    /// When it should have been sent, in nanoseconds of the generator's clock.
    pub intended_ns: u64,
}

/// Appends the JSON object that carries `stamp`, `bytes` long (at least [`SHORTEST`]).
pub fn encode(out: &mut Vec<u8>, stamp: Stamp, bytes: usize) {
    out.push(b'{');
    out.extend_from_slice(MARKER);
    write!(out, "{:016x}{:016x}", stamp.sequence, stamp.intended_ns)
        .expect("writing to a Vec cannot fail");
    out.resize(out.len() + bytes.saturating_sub(SHORTEST), b'.');
    out.extend_from_slice(b"\"}");
}

/// Finds stamps in messages. All messages of a run have the same shape, so it looks where the last one was first.
#[derive(Default)]
pub struct Finder {
    guess: usize,
}

impl Finder {
    /// The stamp in one line, if it carries one.
    #[inline]
    pub fn find(&mut self, line: &[u8]) -> Option<Stamp> {
        if !line.get(self.guess..).is_some_and(|rest| rest.starts_with(MARKER)) {
            self.guess = search(line)?;
        }
        let numbers = line.get(self.guess + MARKER.len()..)?.first_chunk::<{ 2 * DIGITS }>()?;
        Some(Stamp {
            sequence: hexadecimal(&numbers[..DIGITS])?,
            intended_ns: hexadecimal(&numbers[DIGITS..])?,
        })
    }
}

#[cold]
fn search(line: &[u8]) -> Option<usize> {
    line.windows(MARKER.len()).position(|window| window == MARKER)
}

#[inline]
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_has_the_length_asked_for_and_its_stamp_is_found_anywhere() {
        let mut finder = Finder::default();
        for (at, bytes) in [SHORTEST, SHORTEST + 1, 128, 1_000].into_iter().enumerate() {
            let stamp = Stamp { sequence: 7 + at as u64, intended_ns: u64::MAX - at as u64 };
            let mut data = Vec::new();
            encode(&mut data, stamp, bytes);
            assert_eq!(data.len(), bytes);
            serde_json::from_slice::<serde_json::Value>(&data).unwrap();
            for before in ["{\"push\":", "", "{\"push\":{\"channel\":\"x\",\"pub\":{\"data\":"] {
                let line = [before.as_bytes(), &data, b"}"].concat();
                assert_eq!(finder.find(&line), Some(stamp));
            }
        }
    }

    #[test]
    fn other_lines_carry_no_stamp() {
        let mut finder = Finder { guess: 30 };
        for line in [
            "",
            "{}",
            "{\"id\":1,\"publish\":{}}",
            "{\"bench\":\"0123\"}",
            "{\"bench\":\"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\"}",
        ] {
            assert_eq!(finder.find(line.as_bytes()), None, "{line}");
        }
    }
}
