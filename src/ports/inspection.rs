//! How a store is, for whoever operates it: what answers, how fast, with which schema, and what about it should be otherwise.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;

/// How many parts of a schema are named where there are more.
const NAMED_MAX: usize = 3;

/// What became of a store's tables, collections and indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// The store needs none.
    Unneeded,
    /// It is that of this version.
    Current,
    /// This is missing; a migration brings it.
    Pending(Vec<String>),
    /// A later version made this, which this version does not know.
    Newer(Vec<String>),
    /// A migration stopped halfway, or is not the one that this version has.
    Broken(String),
}

impl fmt::Display for SchemaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unneeded => f.write_str("none needed"),
            Self::Current => f.write_str("up to date"),
            Self::Pending(parts) => {
                write!(f, "pending: {}; `carillon migrate` brings it up to date", Named(parts))
            }
            Self::Newer(parts) => write!(f, "newer than this version: {}", Named(parts)),
            Self::Broken(why) => f.write_str(why),
        }
    }
}

/// Some names and how many more there are.
struct Named<'a>(&'a [String]);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.0.len().min(NAMED_MAX);
        f.write_str(&self.0[..named].join(", "))?;
        match self.0.len() - named {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// How much something matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// It works, but should be otherwise.
    Warning,
    /// A node cannot work with it.
    Fault,
}

/// Something that is worth knowing about a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about, in a word or two that do not change.
    pub about: &'static str,
    /// What was found, as a sentence. Never a secret.
    pub detail: String,
}

impl Finding {
    /// What is good to know.
    pub fn note(about: &'static str, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Note, about, detail: detail.into() }
    }

    /// What should be otherwise.
    pub fn warning(about: &'static str, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, about, detail: detail.into() }
    }

    /// What a node cannot work with.
    pub fn fault(about: &'static str, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Fault, about, detail: detail.into() }
    }
}

/// What a store that answers told about itself.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What answers, such as `MariaDB`.
    pub product: String,
    /// Its version, as it says; empty for what is part of this program.
    pub version: String,
    /// Whether the tests run with this version.
    pub is_tested: bool,
    /// The median of a few round trips.
    pub latency: Duration,
    /// By how many milliseconds its clock is ahead of this machine's; `None` if it has none of its own.
    pub clock_ahead_ms: Option<i64>,
    /// The state of its schema.
    pub schema: SchemaState,
    /// Everything else.
    pub findings: Vec<Finding>,
}

/// Looks at a store from outside, over a connection of its own, and changes nothing unless asked to migrate.
#[async_trait]
pub trait Inspect: Send + Sync {
    /// Whether the store is part of this program and no server.
    fn is_embedded(&self) -> bool;

    /// Looks at it. May be given up at any time.
    async fn inspect(&self) -> Result<Inspection, StoreError>;

    /// Brings its schema to that of this version, and returns the parts that were missing. On a server, any number may
    /// do so at once; each of them finds it done when this returns. With an embedded store, whoever asks has hold of
    /// the data directory.
    async fn migrate(&self) -> Result<Vec<String>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_names_few_parts_and_the_command_that_helps() {
        let parts = |count: u8| (1..=count).map(|n| format!("{n:04}")).collect::<Vec<_>>();
        let pending = SchemaState::Pending(parts(5)).to_string();
        assert_eq!(
            pending,
            "pending: 0001, 0002, 0003 and 2 more; `carillon migrate` brings it up to date"
        );
        assert_eq!(SchemaState::Newer(parts(2)).to_string(), "newer than this version: 0001, 0002");
    }
}
