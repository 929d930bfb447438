//! Randomness for ids and secrets.

/// Fills buffers with bytes that nobody can predict (in production, from the
/// operating system). A test injects a source that repeats.
pub trait Entropy: Send + Sync {
    /// Overwrites all of `buffer`.
    fn fill(&self, buffer: &mut [u8]);
}

impl dyn Entropy + '_ {
    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}
