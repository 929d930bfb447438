//! What an operator is told of a file.

use crate::adapters::system::SystemClock;
use crate::ports::inspection::{Inspect, SchemaState};

use super::*;

fn inspector(directory: &Path, schema: Schema) -> SqliteInspector {
    let path = directory.join(schema.file_name());
    SqliteInspector::new(&path, schema, Arc::new(SystemClock))
}

mod contract {
    use super::*;

    async fn fresh() -> Subject<dyn Inspect> {
        let directory = tempfile::tempdir().unwrap();
        let port = Arc::new(inspector(directory.path(), Schema::Log));
        Subject { port, keep: Box::new(directory) }
    }

    crate::adapters::contract::inspection::inspection_contract!(fresh);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_made_by_looking() {
    let directory = tempfile::tempdir().unwrap();
    let told = inspector(directory.path(), Schema::Accounts).inspect().await.unwrap();
    assert!(matches!(told.schema, SchemaState::Pending(_)), "{told:?}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_is_looked_at_while_it_is_used() {
    let (db, directory) = database(Schema::Accounts).await;
    let _writing = db.durable_write().await.unwrap();
    let told = inspector(directory.path(), Schema::Accounts).inspect().await.unwrap();
    assert_eq!(told.schema, SchemaState::Current);
}

#[tokio::test]
async fn what_is_no_database_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("log.db"), "x".repeat(4_096)).unwrap();
    let inspector = inspector(directory.path(), Schema::Log);
    assert!(inspector.inspect().await.is_err());
    assert!(inspector.migrate().await.is_err());
}
