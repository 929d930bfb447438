//! Which indexes the statements use.

use sqlx::{AssertSqlSafe, Execute, Row};

use crate::adapters::sqlite::content::list_query;
use crate::adapters::sqlite::relay_ledger::{BACKWARDS, LAST_EPOCH, RELAYED_AFTER};
use crate::domain::ids::{PostId, UserId};
use crate::domain::post::PostStatus;
use crate::domain::time::Timestamp;
use crate::ports::content::PostFilter;

use super::*;

/// What SQLite says it does, step by step.
async fn plan(db: &Database, statement: &str) -> Vec<String> {
    let explained = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let rows = sqlx::query(explained).fetch_all(db.readers()).await;
    let details = rows.unwrap().into_iter().map(|row| row.get("detail"));
    details.collect()
}

#[tokio::test]
async fn relays_are_read_along_the_primary_key() {
    let (db, _directory) = database(Schema::Log).await;
    let after = plan(&db, RELAYED_AFTER).await;
    assert_eq!(after[0], "SEARCH p USING PRIMARY KEY (channel=? AND (epoch,offset)>(?,?))");
    let backwards = plan(&db, BACKWARDS).await;
    assert_eq!(backwards[0], "SEARCH p USING PRIMARY KEY (channel=?)");
    for plan in [after, backwards] {
        assert!(plan[1].starts_with("SEARCH e USING INDEX"), "{plan:?}");
        assert_eq!(plan.len(), 2, "it sorts: {plan:?}");
    }
    // One row an incarnation, never one a relay.
    let last = plan(&db, LAST_EPOCH).await;
    assert!(last.iter().all(|step| !step.contains("positions")), "{last:?}");
}

#[tokio::test]
async fn lists_of_posts_walk_an_index_and_never_sort() {
    let (db, _directory) = database(Schema::Log).await;
    let before = Some(PostId::from_parts(Timestamp::from_millis(0), 0, [0; 3]));
    let cases = [
        ((false, false, false), "SEARCH p USING INDEX sqlite_autoindex_posts_1 (id<?)"),
        ((false, true, false), "SEARCH p USING INDEX posts_by_author (author_id=? AND id<?)"),
        ((false, false, true), "SEARCH p USING INDEX posts_by_status (status=? AND id<?)"),
        ((true, false, false), "SEARCH t USING PRIMARY KEY (tag=? AND post_id<?)"),
        ((true, true, true), "SEARCH t USING PRIMARY KEY (tag=? AND post_id<?)"),
    ];
    for ((tag, author, status), step) in cases {
        let filter = PostFilter {
            tag: tag.then(|| "rust".to_owned()),
            author: author.then_some(UserId(1)),
            status: status.then_some(PostStatus::Published),
        };
        let mut query = list_query(&filter, before, 10);
        let statement = query.build().sql();
        let plan = plan(&db, statement.as_str()).await;
        assert_eq!(plan[0], step);
        assert!(!plan.iter().any(|step| step.contains("B-TREE")), "{plan:?}");
    }
}
