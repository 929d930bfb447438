//! What adapters of [`Inspect`] are held to.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ports::inspection::{Finding, Inspect, SchemaState, Severity};

use super::{Subject, race};

/// Makes a test of each promise.
macro_rules! inspection_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::inspection,
            $factory,
            [a_store_without_a_schema_gets_it_once, looking_changes_nothing_and_says_what_answers,]
        );
    };
}
pub(crate) use inspection_contract;

type Factory = Subject<dyn Inspect>;

/// What was found about something.
pub(crate) fn about<'a>(findings: &'a [Finding], about: &str) -> Vec<(Severity, &'a str)> {
    let found = findings.iter().filter(|finding| finding.about == about);
    found.map(|finding| (finding.severity, finding.detail.as_str())).collect()
}

pub async fn a_store_without_a_schema_gets_it_once(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let before = port.inspect().await.unwrap();
    let missing = match before.schema {
        SchemaState::Pending(missing) => missing,
        SchemaState::Unneeded => Vec::new(),
        other => panic!("nothing was migrated: {other:?}"),
    };
    let brought: BTreeSet<String> = if port.is_embedded() {
        port.migrate().await.unwrap().into_iter().collect()
    } else {
        let all = race(|_| {
            let port = port.clone();
            async move { port.migrate().await.unwrap() }
        });
        all.await.into_iter().flatten().collect()
    };
    // Of what takes several steps, such as a collection with its indexes, some may find a part.
    assert!(missing.iter().all(|part| brought.contains(part)), "{missing:?}: {brought:?}");
    assert_eq!(missing.is_empty(), brought.is_empty(), "{brought:?}");
    assert_eq!(port.migrate().await.unwrap(), Vec::<String>::new());
    let after = port.inspect().await.unwrap().schema;
    let none = missing.is_empty();
    assert_eq!(after, if none { SchemaState::Unneeded } else { SchemaState::Current });
}

pub async fn looking_changes_nothing_and_says_what_answers(factory: impl AsyncFnOnce() -> Factory) {
    let Subject { port, keep: _keep } = factory().await;
    let (first, second) = (port.inspect().await.unwrap(), port.inspect().await.unwrap());
    assert_eq!(first.schema, second.schema);
    assert!(!first.product.is_empty());
    assert!(first.latency < Duration::from_secs(5));
    if !port.is_embedded() {
        assert!(!first.version.is_empty() && !first.latency.is_zero(), "{first:?}");
        let ahead = first.clock_ahead_ms.unwrap();
        assert!(ahead.abs() < 5_000, "the server is on this machine: {ahead} ms");
    }
    // Nothing of a healthy server is beyond use.
    let faults = first.findings.iter().filter(|it| it.severity == Severity::Fault);
    assert_eq!(faults.collect::<Vec<_>>(), Vec::<&Finding>::new());
}
