//! What is wrong with the settings, and what was probably meant.

use std::fmt;

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The path of the setting (`channel.namespaces[2].name`), else the file or argument.
    pub key: String,
    /// What is wrong with it; never the value of a secret.
    pub problem: String,
}

impl Fault {
    /// The fault `problem` of `key`.
    pub(super) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

/// Everything that is wrong with the settings; shown as one line for each fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// All faults of all sources; never empty.
    pub faults: Vec<Fault>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

/// Whether the keys are the same, or one holds the other.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    holds(one, other) || holds(other, one)
}

/// Whether `inner` is `outer` or something within it.
pub(super) fn holds(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The one of `known` that somebody who wrote `unknown` probably meant: the
/// nearest within three mistakes, else the only one that ends in the same name.
pub(super) fn nearest<'a>(unknown: &str, known: &'a [String]) -> Option<&'a str> {
    let name = last_name(unknown);
    let allowed = (name.chars().count() / 2).clamp(1, 3);
    let near = known
        .iter()
        .map(|path| (distance(unknown, path), path))
        .filter(|(mistakes, _)| *mistakes <= allowed)
        .min();
    if let Some((_, path)) = near {
        return Some(path);
    }
    let mut same_name = known.iter().filter(|path| last_name(path) == name);
    let only = same_name.next()?;
    same_name.next().is_none().then_some(only.as_str())
}

fn last_name(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, name)| name)
}

/// How many letters were left out, added, changed or swapped with their neighbour
/// (the optimal string alignment distance).
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i; to.len() + 1];
        for j in 1..=to.len() {
            let changed = usize::from(from[i - 1] != to[j - 1]);
            row[j] = (last[j - 1] + changed).min(last[j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            if swapped {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits_and_swaps() {
        assert_eq!(distance("same", "same"), 0);
        assert_eq!(distance("histroy", "history"), 1);
        assert_eq!(distance("pingg", "ping"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn the_nearest_key_is_found_also_in_another_table() {
        let known: Vec<String> =
            ["client.ping_interval", "http_api.key", "events.url"].map(str::to_owned).to_vec();
        assert_eq!(nearest("client_ping_interval", &known), Some("client.ping_interval"));
        assert_eq!(nearest("ping_interval", &known), Some("client.ping_interval"));
        assert_eq!(nearest("http_api.ky", &known), Some("http_api.key"));
        assert_eq!(nearest("something.else", &known), None);
    }

    #[test]
    fn one_key_holds_another_only_at_a_boundary() {
        assert!(holds("client", "client.ping_interval"));
        assert!(holds("channel.namespaces", "channel.namespaces[2].name"));
        assert!(!holds("http", "http_api.key"));
        assert!(overlap("client.ping_interval", "client"));
    }
}
