//! What an operator is told of the server.

use crate::adapters::contract::inspection::about;
use crate::adapters::system::SystemClock;
use crate::ports::inspection::{Inspect, SchemaState, Severity};
use crate::settings::Pool;

use super::*;

fn inspector(scratch: &Scratch, pool: Pool) -> MysqlInspector {
    MysqlInspector::new(&scratch.url, pool, Arc::new(SystemClock))
}

mod contract {
    use super::*;

    async fn fresh() -> Subject<dyn Inspect> {
        let scratch = Scratch::new().await;
        Subject { port: Arc::new(inspector(&scratch, pool())), keep: Box::new(scratch) }
    }

    crate::adapters::contract::inspection::inspection_contract!(fresh);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_should_be_otherwise_is_told() {
    unless_skipped("mysql::what_should_be_otherwise_is_told", async {
        let scratch = Scratch::new().await;
        let inspector = inspector(&scratch, Pool { max_connections: 1_000_000, ..pool() });
        inspector.migrate().await.unwrap();
        let told = inspector.inspect().await.unwrap().findings;
        assert_eq!(about(&told, "charset")[0].0, Severity::Note, "{told:?}");
        assert_eq!(about(&told, "isolation")[0].0, Severity::Note, "{told:?}");
        assert_eq!(about(&told, "sql_mode")[0].0, Severity::Note, "{told:?}");
        assert_eq!(about(&told, "connections")[0].0, Severity::Warning, "{told:?}");
        scratch
            .connect()
            .await
            .execute("CREATE TABLE narrow (t TEXT) CHARSET latin1")
            .await
            .unwrap();
        let told = inspector.inspect().await.unwrap().findings;
        let narrow = "tables that cannot hold every character: narrow";
        assert_eq!(about(&told, "charset"), [(Severity::Warning, narrow)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_of_a_later_version_is_known_and_left_alone() {
    unless_skipped("mysql::the_schema_of_a_later_version_is_known_and_left_alone", async {
        let scratch = Scratch::new().await;
        let inspector = inspector(&scratch, pool());
        inspector.migrate().await.unwrap();
        let later =
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (9999, 'later', 1, x'00', 0)";
        scratch.connect().await.execute(later).await.unwrap();
        let schema = inspector.inspect().await.unwrap().schema;
        assert_eq!(schema, SchemaState::Newer(vec!["9999".to_owned()]));
        assert!(inspector.migrate().await.is_err());
        let stopped = "UPDATE _sqlx_migrations SET success = 0 WHERE version = 9999";
        scratch.connect().await.execute(stopped).await.unwrap();
        let schema = inspector.inspect().await.unwrap().schema;
        assert!(matches!(&schema, SchemaState::Broken(why) if why.contains("9999")), "{schema:?}");
    })
    .await;
}
