//! Removing the mask that every client frame carries (RFC 6455, section 5.3).

/// Unmasks `payload` in place and returns the mask as it applies to the byte that follows, so that a payload may come
/// in pieces of any length. Eight bytes go at a time; the compiler turns that into vector instructions.
pub(super) fn unmask(payload: &mut [u8], mask: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let length = payload.len();
    let (words, tail) = payload.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
    let mut next = mask;
    next.rotate_left(length % 4);
    next
}
