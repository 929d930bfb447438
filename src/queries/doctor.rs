//! How all stores are, looked at from outside: each over a connection of its own, all at once, and none for long.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::ports::inspection::{Finding, Inspect, Inspection, SchemaState, Severity};

/// How long a look at one store may take.
const PATIENCE: Duration = Duration::from_secs(6);
/// By how much a server's clock may be off, in milliseconds: lifetimes of keys and presence, and what is told of when
/// things happened, are off by as much.
const CLOCK_TOLERANCE_MS: u64 = 1_000;

/// A store that is to be looked at.
pub struct Patient {
    /// The store, as operators know it.
    pub store: &'static str,
    /// What looks at it.
    pub inspector: Arc<dyn Inspect>,
}

/// What was found at one store.
#[derive(Debug)]
pub struct Examination {
    /// The store, as operators know it.
    pub store: &'static str,
    /// Whether it is part of the program and no server.
    pub is_embedded: bool,
    /// What it told, or why it could not be asked.
    pub outcome: Result<Inspection, String>,
}

/// How all stores are, in a word. Ordered: the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All answer, and a node can work with them.
    Well,
    /// All answer, and a node cannot work with one of them.
    Unfit,
    /// One does not answer.
    Unreachable,
}

/// Looks at stores.
pub struct Doctor {
    /// The stores.
    pub patients: Vec<Patient>,
    /// Whether a node brings schemas up to date when it starts.
    pub migrate_on_start: bool,
}

impl Doctor {
    /// What each store tells, in their order.
    pub async fn examine(&self) -> Vec<Examination> {
        join_all(self.patients.iter().map(|patient| self.look(patient))).await
    }

    async fn look(&self, patient: &Patient) -> Examination {
        let looked = tokio::time::timeout(PATIENCE, patient.inspector.inspect()).await;
        let outcome = match looked {
            Ok(Ok(inspection)) => Ok(self.judged(inspection)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
        };
        let is_embedded = patient.inspector.is_embedded();
        Examination { store: patient.store, is_embedded, outcome }
    }

    /// Adds what follows from what any store tells; the gravest comes first.
    fn judged(&self, mut inspection: Inspection) -> Inspection {
        let said = inspection.schema.to_string();
        match inspection.schema {
            SchemaState::Unneeded | SchemaState::Current => {}
            SchemaState::Pending(_) if self.migrate_on_start => {
                let said = format!("{said}, as does the next node that starts");
                inspection.findings.push(Finding::warning("schema", said));
            }
            SchemaState::Pending(_) | SchemaState::Newer(_) | SchemaState::Broken(_) => {
                inspection.findings.push(Finding::fault("schema", said));
            }
        }
        if let Some(ahead) = inspection.clock_ahead_ms
            && ahead.unsigned_abs() > CLOCK_TOLERANCE_MS
        {
            let word = if ahead < 0 { "behind" } else { "ahead of" };
            let said = format!("{} ms {word} this machine's clock", ahead.unsigned_abs());
            inspection.findings.push(Finding::warning("clock", said));
        }
        if !inspection.is_tested {
            let said =
                format!("the tests do not run with {} {}", inspection.product, inspection.version);
            inspection.findings.push(Finding::note("version", said));
        }
        inspection.findings.sort_by_key(|finding| Reverse(finding.severity));
        inspection
    }
}

/// How all of them are.
pub fn verdict(examinations: &[Examination]) -> Verdict {
    let of = |examination: &Examination| match &examination.outcome {
        Err(_) => Verdict::Unreachable,
        Ok(told) if told.findings.iter().any(|it| it.severity == Severity::Fault) => Verdict::Unfit,
        Ok(_) => Verdict::Well,
    };
    examinations.iter().map(of).max().unwrap_or(Verdict::Well)
}

#[cfg(test)]
mod tests;
