//! What an operator is told of the deployment.

use crate::adapters::contract::Subject;
use crate::adapters::contract::inspection::about;
use crate::adapters::contract::sql_servers::pool;
use crate::adapters::system::SystemClock;
use crate::ports::StoreError;
use crate::ports::inspection::{Inspect, Severity};

use super::*;

fn inspector(url: &str, schemas: Vec<MongoSchema>) -> MongoInspector {
    MongoInspector::new(url, "events", pool(), schemas, Arc::new(SystemClock))
}

/// An empty database, its URL, and what drops it.
async fn database() -> (String, Scratch) {
    let url = url_of_a_new_database();
    let options = MongoOptions { min_pool_size: 0, ..MongoOptions::default() };
    let scratch = Scratch { db: Mongo::connect(&url, "events", options).await.unwrap() };
    (url, scratch)
}

mod contract {
    use super::*;

    async fn fresh() -> Subject<dyn Inspect> {
        let (url, scratch) = database().await;
        let schemas = vec![MongoSchema::Log(KEYS_TTL), MongoSchema::Content];
        Subject { port: Arc::new(inspector(&url, schemas)), keep: Box::new(scratch) }
    }

    crate::adapters::contract::inspection::inspection_contract!(fresh);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_durable_with_the_log_and_what_cannot_be_searched_is_told() {
    unless_skipped("mongodb::what_becomes_durable_with_the_log_is_told", async {
        let (url, _scratch) = database().await;
        let apart = inspector(&url, vec![MongoSchema::Content]);
        apart.migrate().await.unwrap();
        let told = apart.inspect().await.unwrap();
        assert_eq!(about(&told.findings, "content"), []);
        let told = apart.beside_log("mongodb://127.0.0.1:1/log").inspect().await.unwrap();
        assert!(about(&told.findings, "content")[0].1.starts_with("is not on"), "{told:?}");
        let beside = inspector(&url, vec![MongoSchema::Content]).beside_log(&url);
        let told = beside.inspect().await.unwrap();
        assert!(about(&told.findings, "content")[0].1.starts_with("shares"), "{told:?}");
        assert_eq!(about(&told.findings, "replication").len(), 1, "{told:?}");
        // What stands in for MongoDB makes no text index, and says which server it is.
        let lacks_text = !about(&told.findings, "text index").is_empty();
        let stand_in = about(&told.findings, "stand-in");
        assert_eq!(lacks_text, !stand_in.is_empty(), "{told:?}");
        assert!(stand_in.iter().all(|(severity, _)| *severity == Severity::Warning));
    })
    .await;
}

#[tokio::test]
async fn a_url_that_cannot_be_read_is_not_shown() {
    for url in
        ["mongodb://u:hunter2/x@h:1/d", "mongodb://u:hunter2@h:port/d", "mongodb://h/?hunter2"]
    {
        let failed = inspector(url, Vec::new()).inspect().await.unwrap_err();
        assert!(matches!(failed, StoreError::Unavailable { .. }));
        assert!(!failed.to_string().contains("hunter2"), "{failed}");
    }
}
