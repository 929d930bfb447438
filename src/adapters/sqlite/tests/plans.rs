//! Which indexes the statements use.

use sqlx::{AssertSqlSafe, Execute, Row};

use crate::adapters::sqlite::comments::THREAD;
use crate::adapters::sqlite::content::{COUNTS, EMBEDDED_IDS, KEPT, PUBLISHED, SHOWN, WITH_SLUG};
use crate::adapters::sqlite::event_log::COUNTED;
use crate::adapters::sqlite::inbox::{NEWS, PUT, READ_ITEMS, READ_POSTS, READ_THROUGH};
use crate::adapters::sqlite::inbox_items::{ITEMS, LIST, LIST_UNREAD, STATES};
use crate::adapters::sqlite::marks::{FOLLOW_COUNTS, FOLLOWED_BY, FOLLOWERS, FOLLOWING, OWN_MARKS};
use crate::adapters::sqlite::post_lists::{HOME, list_query};
use crate::adapters::sqlite::relay_ledger::{BACKWARDS, LAST_EPOCH, RELAYED_AFTER};
use crate::domain::ids::UserId;
use crate::domain::page::Cursor;
use crate::domain::post::PostStatus;
use crate::domain::time::Timestamp;
use crate::ports::content::PostFilter;

use super::*;

/// What SQLite says it does, step by step.
pub(super) async fn plan(db: &Database, statement: &str) -> Vec<String> {
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

/// Complains of steps that read a whole table. What stands after `SCAN` otherwise is a list that was
/// bound, or what a step before came to.
async fn searches_only(db: &Database, statement: &str) -> Vec<String> {
    let plan = plan(db, statement).await;
    let bound = ["SCAN w", "SCAN f VIRTUAL", "SCAN t VIRTUAL", "SCAN json_each", "SCAN CONSTANT"];
    let before = ["SCAN h", "SCAN s"];
    let scans = plan.iter().filter(|step| step.starts_with("SCAN"));
    let mut whole = scans.filter(|step| {
        let whole_index = step.contains("USING") && !step.contains("VIRTUAL");
        whole_index || !bound.iter().chain(&before).any(|known| step.starts_with(known))
    });
    assert_eq!(whole.next(), None, "{statement}\n{plan:#?}");
    plan
}

#[tokio::test]
async fn lists_of_posts_walk_an_index_and_never_sort() {
    let (db, _directory) = database(Schema::Log).await;
    let after = Cursor { at: Timestamp::from_millis(0), id: "x".into() };
    let by_status = "SEARCH p USING INDEX posts_by_status (status=? AND (sort_at,id)<(?,?))";
    let by_author =
        "SEARCH p USING INDEX posts_by_author (author_id=? AND status=? AND (sort_at,id)<(?,?))";
    let by_tag = "SEARCH t USING PRIMARY KEY (tag=? AND status=? AND (sort_at,post_id)<(?,?))";
    let cases = [
        ((false, false), by_status),
        ((false, true), by_author),
        ((true, false), by_tag),
        ((true, true), by_author),
    ];
    for ((tag, author), step) in cases {
        for status in [Some(PostStatus::Published), None] {
            for followed_by in [None, Some(UserId(7))] {
                let filter = PostFilter {
                    tag: tag.then(|| "rust".to_owned()),
                    author: author.then_some(UserId(1)),
                    status,
                    followed_by,
                };
                let mut query = list_query(&filter, Some(&after), 10);
                let statement = query.build().sql();
                let plan = searches_only(&db, statement.as_str()).await;
                let walks = plan.iter().filter(|walk| walk.as_str() == step).count();
                assert_eq!(walks, if status.is_some() { 1 } else { 3 }, "{plan:#?}");
                assert!(!plan.iter().any(|step| step.contains("B-TREE")), "{plan:#?}");
            }
        }
    }
}

#[tokio::test]
async fn lists_of_the_community_walk_an_index_and_never_sort() {
    let (db, _directory) = database(Schema::Log).await;
    let lists = [
        (FOLLOWERS, 1, "follows_by_followee (followee=? AND (since,follower)<(?,?))"),
        (FOLLOWING, 1, "follows_by_follower (follower=? AND (since,followee)<(?,?))"),
        (FOLLOWED_BY, 1, "follows_by_follower (follower=?)"),
        (THREAD, 1, "comments_by_post (post_id=? AND (created_at,id)>(?,?))"),
        (EMBEDDED_IDS, 5, "_by_event (event_id>? AND event_id<?)"),
        (COUNTED, 1, "(id>?)"),
    ];
    for (statement, count, step) in lists {
        let plan = searches_only(&db, statement).await;
        let walks = plan.iter().filter(|walk| walk.ends_with(step)).count();
        assert_eq!(walks, count, "{plan:#?}");
        assert!(!plan.iter().any(|step| step.contains("B-TREE")), "{plan:#?}");
    }
}

/// What is merged is as long as the part of the list that is asked for, and only that is sorted.
#[tokio::test]
async fn merged_lists_read_one_row_for_each_source_and_each_item() {
    let (db, _directory) = database(Schema::Log).await;
    let by_author = "SEARCH q USING COVERING INDEX posts_by_author \
                     (author_id=? AND status=? AND (sort_at,id)<(?,?))";
    let home = searches_only(&db, HOME).await;
    assert_eq!(home.iter().filter(|step| *step == by_author).count(), 2, "{home:#?}");
    let one = "SEARCH q USING INDEX posts_for_followers \
               (author_id=? AND sort_at>? AND (sort_at,published_event)<(?,?))";
    let stored = [
        (LIST, "SEARCH n USING PRIMARY KEY (user_id=? AND (created_at,event_id)<(?,?))"),
        (
            LIST_UNREAD,
            "SEARCH n USING PRIMARY KEY \
             (user_id=? AND created_at>? AND (created_at,event_id)<(?,?))",
        ),
    ];
    for (list, stored) in stored {
        let plan = searches_only(&db, list).await;
        let steps = |wanted| plan.iter().filter(|step| step.as_str() == wanted).count();
        assert_eq!((steps(one), steps(stored)), (2, 1), "{plan:#?}");
        // Of the two parts only the posts are sorted, which were taken from the queue.
        assert!(plan.iter().filter(|step| step.contains("B-TREE")).count() <= 1, "{plan:#?}");
        let at = plan.iter().position(|step| step.contains("B-TREE")).unwrap_or(usize::MAX);
        assert!(at > plan.iter().position(|step| step == "RIGHT").unwrap(), "{plan:#?}");
    }
}

#[tokio::test]
async fn no_other_statement_of_the_community_reads_a_whole_table() {
    let (db, _directory) = database(Schema::Log).await;
    let statements = [
        KEPT,
        SHOWN,
        WITH_SLUG,
        PUBLISHED,
        COUNTS,
        OWN_MARKS,
        FOLLOW_COUNTS,
        ITEMS,
        STATES,
        NEWS,
        PUT,
        READ_ITEMS,
        READ_POSTS,
    ];
    for statement in statements.iter().chain(&READ_THROUGH) {
        searches_only(&db, statement).await;
    }
}
