//! What an operator is told of the server.

use crate::adapters::contract::inspection::about;
use crate::adapters::system::SystemClock;
use crate::ports::inspection::{Inspect, SchemaState, Severity};

use super::*;

fn inspector(scratch: &Scratch) -> PostgresInspector {
    PostgresInspector::new(&scratch.url, pool(), Arc::new(SystemClock))
}

mod contract {
    use super::*;

    async fn fresh() -> Subject<dyn Inspect> {
        let scratch = Scratch::new().await;
        Subject { port: Arc::new(inspector(&scratch)), keep: Box::new(scratch) }
    }

    crate::adapters::contract::inspection::inspection_contract!(fresh);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_went_astray_and_months_without_a_partition_are_told() {
    unless_skipped("postgres::events_that_went_astray_are_told", async {
        let scratch = Scratch::new().await;
        let inspector = inspector(&scratch);
        inspector.migrate().await.unwrap();
        let told = inspector.inspect().await.unwrap().findings;
        let both = (Severity::Note, "this month and the next one have a partition");
        assert_eq!(about(&told, "partitions"), [both]);
        let mut connection = scratch.connect().await;
        let astray = "INSERT INTO interactions (event_id, occurred_at, kind, subject, data)
                      VALUES (gen_random_uuid(), '1999-12-31', 'k', 's', '{}')";
        connection.execute(astray).await.unwrap();
        let told = inspector.inspect().await.unwrap().findings;
        let one = (Severity::Warning, "in the default partition: 1 event");
        assert_eq!(about(&told, "partitions"), [both, one]);
        // In the year 3000 nobody has made partitions yet.
        let later = Arc::new(ManualClock::at(crate::domain::time::Timestamp::from_millis(32_503_680_000_000)));
        let later = PostgresInspector::new(&scratch.url, pool(), later);
        let told = later.inspect().await.unwrap();
        let missing = "there is no interactions_3000_01, no interactions_3000_02; a node makes it when it starts";
        assert_eq!(about(&told.findings, "partitions")[0], (Severity::Warning, missing));
        assert!(told.clock_ahead_ms.unwrap() < -1_000_000, "the server is not in that year");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_of_a_later_version_is_known_and_left_alone() {
    unless_skipped("postgres::the_schema_of_a_later_version_is_known_and_left_alone", async {
        let scratch = Scratch::new().await;
        let inspector = inspector(&scratch);
        inspector.migrate().await.unwrap();
        let later =
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (9999, 'later', true, '', 0)";
        scratch.connect().await.execute(later).await.unwrap();
        let schema = inspector.inspect().await.unwrap().schema;
        assert_eq!(schema, SchemaState::Newer(vec!["9999".to_owned()]));
        assert!(inspector.migrate().await.is_err());
    })
    .await;
}
