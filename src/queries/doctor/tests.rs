//! What the doctor makes of what stores tell, and of those that tell nothing.

use async_trait::async_trait;

use super::*;
use crate::ports::StoreError;

/// A store that tells what it was told to, fails, or hangs.
enum Fake {
    Tells(Box<Inspection>),
    Fails,
    Hangs,
}

#[async_trait]
impl Inspect for Fake {
    fn is_embedded(&self) -> bool {
        false
    }

    async fn inspect(&self) -> Result<Inspection, StoreError> {
        match self {
            Self::Tells(told) => Ok((**told).clone()),
            Self::Fails => {
                Err(StoreError::Unavailable { store: "accounts", cause: "refused".to_owned() })
            }
            Self::Hangs => std::future::pending().await,
        }
    }

    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

fn well() -> Inspection {
    Inspection {
        product: "MariaDB".to_owned(),
        version: "10.11.6".to_owned(),
        is_tested: true,
        latency: Duration::from_millis(1),
        clock_ahead_ms: Some(-900),
        schema: SchemaState::Current,
        findings: vec![Finding::note("isolation", "as it should be")],
    }
}

async fn examine(patients: Vec<Fake>, migrate_on_start: bool) -> Vec<Examination> {
    let patient = |fake| Patient { store: "accounts", inspector: Arc::new(fake) };
    let patients = patients.into_iter().map(patient).collect();
    Doctor { patients, migrate_on_start }.examine().await
}

async fn told(inspection: Inspection, migrate_on_start: bool) -> (Vec<Finding>, Verdict) {
    let found = examine(vec![Fake::Tells(Box::new(inspection))], migrate_on_start).await;
    let verdict = verdict(&found);
    (found.into_iter().next().unwrap().outcome.unwrap().findings, verdict)
}

#[tokio::test(start_paused = true)]
async fn stores_that_hang_or_fail_keep_nobody_from_telling() {
    let began = tokio::time::Instant::now();
    let patients = vec![Fake::Hangs, Fake::Tells(Box::new(well())), Fake::Fails, Fake::Hangs];
    let found = examine(patients, true).await;
    assert_eq!(began.elapsed(), PATIENCE, "all at once");
    let errors: Vec<_> =
        found.iter().map(|one| one.outcome.as_ref().err().map(String::as_str)).collect();
    let late = Some("no answer within 6s");
    assert_eq!(errors, [late, None, Some("accounts is unavailable: refused"), late]);
    assert_eq!(verdict(&found), Verdict::Unreachable);
    assert_eq!(verdict(&found[1..2]), Verdict::Well);
}

#[tokio::test]
async fn a_schema_that_a_node_refuses_is_a_fault() {
    let pending = SchemaState::Pending(vec!["0002 more".to_owned()]);
    for (schema, migrate_on_start, gravest, word) in [
        (SchemaState::Current, false, Severity::Note, Verdict::Well),
        (pending.clone(), true, Severity::Warning, Verdict::Well),
        (pending, false, Severity::Fault, Verdict::Unfit),
        (SchemaState::Newer(vec!["0009".to_owned()]), true, Severity::Fault, Verdict::Unfit),
        (SchemaState::Broken("halfway".to_owned()), true, Severity::Fault, Verdict::Unfit),
    ] {
        let (findings, verdict) = told(Inspection { schema, ..well() }, migrate_on_start).await;
        assert_eq!((findings[0].severity, verdict), (gravest, word), "{findings:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_and_a_version_that_is_not_tested_are_told() {
    let (findings, _) = told(well(), true).await;
    assert_eq!(findings.len(), 1);
    for (ahead, said) in [
        (1_001, "1001 ms ahead of this machine's clock"),
        (-90_000, "90000 ms behind this machine's clock"),
    ] {
        let off = Inspection { clock_ahead_ms: Some(ahead), is_tested: false, ..well() };
        let (findings, verdict) = told(off, true).await;
        assert_eq!(findings[0], Finding::warning("clock", said));
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert_eq!(verdict, Verdict::Well);
    }
}
