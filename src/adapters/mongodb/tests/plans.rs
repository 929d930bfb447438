//! Every query that the product makes walks an index, in the order of its list.

use mongodb::bson::{Bson, DateTime, Document, doc};

use crate::adapters::contract::{at, event_id, post_id};
use crate::domain::channel::ChannelName;
use crate::domain::ids::UserId;
use crate::domain::page::Cursor;
use crate::domain::post::PostStatus;
use crate::ports::content::PostFilter;

use super::super::{
    comments, content, event_log, follows, inbox_counts, inbox_items, marks, post_lists,
};
use super::*;

/// A query: its collection, filter and order, and the indexes that may answer it.
type Query = (&'static str, Document, Document, &'static [&'static str]);

fn of_the_log() -> Vec<Query> {
    let id = stored::event_id(event_id(1));
    let (first, last) = keys::all_positions(&ChannelName::feed());
    let between = doc! { "_id": { "$gt": first, "$lt": last } };
    vec![
        (
            "events",
            doc! { "incarnation": id, "seq": { "$gt": 5 } },
            doc! { "seq": 1 },
            &["by_number"],
        ),
        ("events", event_log::counted(event_id(1)), doc! { "_id": 1 }, &["by_kind", "_id_"]),
        (
            "events",
            doc! { "_id": { "$in": [id, stored::event_id(event_id(2))] } },
            doc! {},
            &["_id_"],
        ),
        ("events", doc! { "subject": "post:1" }, doc! { "time": 1 }, &["by_subject"]),
        ("events", doc! { "actor": 42 }, doc! { "time": -1 }, &["by_actor"]),
        ("incarnations", doc! { "closed": false }, doc! { "_id": 1 }, &["open"]),
        (
            "incarnations",
            doc! { "lastEpoch": { "$gt": "" } },
            doc! { "lastEpoch": -1 },
            &["by_last_epoch"],
        ),
        ("positions", between.clone(), doc! { "_id": 1 }, &["_id_"]),
        ("positions", between, doc! { "_id": -1 }, &["_id_"]),
        (
            "idempotency_keys",
            doc! { "claimedAt": { "$lt": DateTime::from_millis(1) } },
            doc! {},
            &["by_age"],
        ),
    ]
}

fn lists() -> Vec<Query> {
    let list = |tag: Option<&str>, author: Option<i64>, status| {
        let (tag, author) = (tag.map(str::to_owned), author.map(UserId));
        PostFilter { tag, author, status, followed_by: None }
    };
    let after = Cursor { at: at(5), id: post_id(1).to_string() };
    let published = Some(PostStatus::Published);
    let mut queries: Vec<Query> = Vec::new();
    for (filter, indexes) in [
        (list(None, None, published), &["by_status"] as &[_]),
        (list(None, None, None), &["by_status"]),
        (list(None, Some(42), published), &["by_author"]),
        (list(None, Some(42), None), &["by_author"]),
        (list(Some("rust"), None, published), &["by_tag"]),
        (list(Some("rust"), Some(42), published), &["by_author", "by_tag"]),
    ] {
        for after in [None, Some(&after)] {
            let query = post_lists::listed(&filter, after);
            queries.push(("posts", query, post_lists::latest_first(), indexes));
        }
    }
    let mut home = post_lists::listed(&list(None, None, published), None);
    home.insert("authorId", doc! { "$in": [1_i64, 2] });
    queries.push(("posts", home, post_lists::latest_first(), &["by_status", "by_author"]));
    let thread = comments::thread(post_id(1), Some(&after));
    queries.push(("comments", thread, doc! { "createdAt": 1, "_id": 1 }, &["by_post"]));
    let after = Cursor { at: at(5), id: "7".into() };
    let follows = [
        (("followee", "follower"), &["by_followee"] as &[_]),
        (("follower", "followee"), &["by_follower"]),
    ];
    for (sides, indexes) in follows {
        let query = follows::listed(sides, UserId(5), Some(&after));
        queries.push(("follows", query, doc! { "since": -1, sides.1: -1 }, indexes));
    }
    queries.push((
        "follows",
        doc! { "follower": { "$in": [1_i64, 2] } },
        doc! {},
        &["by_follower"],
    ));
    queries
}

fn of_the_content() -> Vec<Query> {
    let after = Cursor { at: at(5), id: event_id(1).to_string() };
    let (posted, put) = (("publishedAt", "publishedEvent"), ("createdAt", "eventId"));
    let told = inbox_items::posted_items(&[1, 2], DateTime::from_millis(1), Some(&after));
    let id = stored::event_id(event_id(1));
    let unread = inbox_counts::unread(7, DateTime::MIN);
    let by_time: &[_] = &["by_time", "unread"];
    let mut queries = lists();
    queries.extend([
        ("posts", told, inbox_items::latest_first(posted), &[inbox_items::FOR_FOLLOWERS] as &[_]),
        ("posts", doc! { "publishedEvent": { "$in": [id] } }, doc! {}, &["by_published_event"]),
        ("posts", doc! { "slug": "s", "removed": false }, doc! {}, &["by_slug"]),
        (
            "notifications",
            inbox_items::stored_items(7, Some(&after)),
            inbox_items::latest_first(put),
            by_time,
        ),
        ("notifications", unread.clone(), inbox_items::latest_first(put), by_time),
        ("notifications", doc! { "$or": [unread] }, doc! {}, by_time),
    ]);
    for (name, _) in marks::KINDS {
        queries.push((name, marks::marks_of(post_id(1)), doc! {}, &["_id_"]));
    }
    let embedded = doc! { "event.id": { "$gt": id, "$lt": stored::event_id(event_id(9)) } };
    for name in content::WITH_EVENTS {
        queries.push((name, embedded.clone(), doc! { "event.id": 1 }, &["by_event"]));
    }
    queries
}

/// All that a plan says of stages and indexes.
fn walk(plan: &Bson, stages: &mut Vec<String>, indexes: &mut Vec<String>) {
    match plan {
        Bson::Document(plan) => {
            stages.extend(plan.get_str("stage").map(str::to_owned));
            indexes.extend(plan.get_str("indexName").map(str::to_owned));
            plan.iter().for_each(|(_, inner)| walk(inner, stages, indexes));
        }
        Bson::Array(plans) => plans.iter().for_each(|inner| walk(inner, stages, indexes)),
        _ => {}
    }
}

async fn every_query_walks_an_index_in_its_order() {
    let scratch = Scratch::new(&[MongoSchema::Log(KEYS_TTL), MongoSchema::Content]).await;
    // Planners choose by trial, and with nothing there any index is as good.
    let posts = (0..600_i64).map(|n| {
        let at = DateTime::from_millis(n * 60_000);
        doc! {
            "title": "t", "content": "c", "slug": n.to_string(), "removed": false, "sortAt": at,
            "authorId": if n % 5 == 0 { 42 } else { n % 7 }, "publishedAt": at,
            "status": if n % 3 == 0 { "draft" } else { "published" },
            "tags": if n % 2 == 0 { ["rust"] } else { ["go"] },
            "publishedEvent": mongodb::bson::Uuid::new(),
        }
    });
    let collection = scratch.db.database().collection::<Document>("posts");
    collection.insert_many(posts).await.unwrap();
    for (name, filter, order, allowed) in of_the_log().into_iter().chain(of_the_content()) {
        let mut find = doc! { "find": name, "filter": filter.clone(), "sort": order, "limit": 50 };
        if allowed == [inbox_items::FOR_FOLLOWERS] {
            find.insert("hint", inbox_items::FOR_FOLLOWERS);
        }
        let explain = doc! { "explain": find, "verbosity": "queryPlanner" };
        let explained = match scratch.db.database().run_command(explain).await {
            Ok(explained) => explained,
            Err(error) => skip(&format!("the server does not explain: {error}")),
        };
        let planner = explained.get_document("queryPlanner").unwrap();
        let (mut stages, mut indexes) = (Vec::new(), Vec::new());
        walk(planner.get("winningPlan").unwrap(), &mut stages, &mut indexes);
        let what = format!("{name} {filter}: {stages:?} {indexes:?}");
        assert!(!indexes.is_empty(), "{what}");
        assert!(indexes.iter().all(|index| allowed.contains(&index.as_str())), "{what}");
        assert!(!stages.iter().any(|stage| stage == "COLLSCAN" || stage == "SORT"), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans() {
    let name = concat!(module_path!(), "::plans");
    unless_skipped(name, every_query_walks_an_index_in_its_order()).await;
}
