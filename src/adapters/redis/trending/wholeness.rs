//! Whether the tallies are whole, also where an address leads back to a server that was left: what declares
//! them whole there is as it was, and lacks what was counted elsewhere meanwhile.

use std::collections::VecDeque;

/// How many declarations that are over are kept in mind.
const OVER_MAX: usize = 64;

/// What a node knows.
#[derive(Default)]
pub(super) struct Wholeness {
    /// Names the history of the data of the server that answered last.
    history: String,
    /// What declared the tallies whole there.
    declaration: Option<String>,
    /// Declarations that others came after, or that stand on a server that was left.
    over: VecDeque<String>,
}

impl Wholeness {
    /// Takes note of a server's answer.
    pub(super) fn hear(&mut self, history: &str) {
        if self.history != history {
            history.clone_into(&mut self.history);
            self.end();
        }
    }

    /// Whether the tallies of a server are whole, of which `declaration` says so, unless it is empty.
    pub(super) fn judge(&mut self, history: &str, declaration: &str) -> bool {
        self.hear(history);
        if declaration.is_empty() || self.over.iter().any(|over| over == declaration) {
            return false;
        }
        if self.declaration.as_deref() != Some(declaration) {
            self.end();
            self.declaration = Some(declaration.to_owned());
        }
        true
    }

    fn end(&mut self) {
        self.over.extend(self.declaration.take());
        if self.over.len() > OVER_MAX {
            self.over.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_declared_before_it_was_left_counts_no_more() {
        let mut wholeness = Wholeness::default();
        assert!(!wholeness.judge("a", ""));
        assert!(wholeness.judge("a", "a:1"));
        assert!(wholeness.judge("a", "a:1"));
        // Somebody else declared it, too.
        assert!(wholeness.judge("a", "a:2"));
        assert!(!wholeness.judge("b", ""));
        assert!(!wholeness.judge("a", "a:2"), "it lacks what was counted on b");
        assert!(wholeness.judge("a", "a:3"));
        // Something was counted on b, though nobody asked whether that is whole.
        wholeness.hear("b");
        assert!(!wholeness.judge("a", "a:3"));
    }
}
