//! Content: the contracts with and without a log on the same replica set, and what only these adapters promise.

use mongodb::bson::{Document, doc};

use crate::adapters::contract::community::{Community, NOW, comment, key, post_by};
use crate::adapters::contract::inbox::reading;
use crate::adapters::contract::{at, event_id, post_id};
use crate::adapters::memory::manual_clock::ManualClock;
use crate::domain::ids::UserId;
use crate::domain::mark::Mark;
use crate::domain::notification::NotificationKind;
use crate::domain::post::PostCounts;
use crate::ports::StoreError;
use crate::ports::audit::content::CountAudit;
use crate::ports::content::Content;

use super::*;

struct Fresh {
    store: Arc<MongoContent>,
    clock: Arc<ManualClock>,
    scratch: Scratch,
}

async fn content(covered: bool) -> Fresh {
    let scratch = Scratch::new(&[MongoSchema::Content]).await;
    let clock = Arc::new(ManualClock::at(at(NOW)));
    let db = scratch.db.shared_with("content");
    let store = Arc::new(MongoContent::new(db, covered, clock.clone()));
    Fresh { store, clock, scratch }
}

async fn community(covered: bool) -> (Community, Arc<MongoContent>, Arc<Mongo>) {
    let Fresh { store, clock, scratch } = content(covered).await;
    let db = scratch.db.clone();
    let community = Community {
        content: store.clone(),
        marks: store.clone(),
        comments: store.clone(),
        inbox: store.clone(),
        pass: Box::new(move |duration| clock.advance(duration)),
        keep: Box::new(scratch),
    };
    (community, store, db)
}

mod beside_the_log {
    use super::*;

    async fn covered() -> Community {
        community(true).await.0
    }

    crate::adapters::contract::content::content_contract!(covered);
    crate::adapters::contract::post_lists::post_lists_contract!(covered);
    crate::adapters::contract::marks::marks_contract!(covered);
    crate::adapters::contract::comments::comments_contract!(covered);
    crate::adapters::contract::inbox::inbox_contract!(covered);
    crate::adapters::contract::inbox_lists::inbox_lists_contract!(covered);
}

mod on_a_replica_set_of_its_own {
    use super::*;

    async fn alone() -> Community {
        community(false).await.0
    }

    crate::adapters::contract::content::content_contract!(alone);
    crate::adapters::contract::marks::marks_contract!(alone);
    crate::adapters::contract::comments::comments_contract!(alone);
    crate::adapters::contract::inbox::inbox_contract!(alone);
}

fn documents(db: &Mongo, name: &str) -> mongodb::Collection<Document> {
    db.database().collection(name)
}

async fn counts_are_put_right() {
    let (community, store, db) = community(true).await;
    community.create(&post_by(1, 42, 1)).await;
    let post = post_id(1);
    for n in 10..13 {
        let user = i64::from(n);
        community.set(key(user, Mark::Like(post)), n, 5, n != 12).await;
        community.set(key(user, Mark::Share(post, event_id(n + 50))), n + 50, 5, true).await;
        community.set(key(user, Mark::View(post, 7)), n + 100, 5, true).await;
    }
    // Marks of another post, and of a user with the least number, are told apart.
    community.set(key(10, Mark::Like(post_id(2))), 200, 5, true).await;
    community.set(key(i64::MIN, Mark::Bookmark(post)), 201, 5, true).await;
    let kept = comment(1, post, 6);
    community.comments.create_comment(&kept.document, &kept.event).await.unwrap();
    let right = PostCounts { likes: 2, comments: 1, views: 3, shares: 3, bookmarks: 1 };
    assert_eq!(store.counts(&[post]).await.unwrap()[&post], right);
    assert_eq!(store.recount_post(post).await.unwrap(), Some(false));
    // As a crash between a mark and its count would leave it.
    let wrong = doc! { "$inc": { "engagement.likes": -1_i64, "engagement.comments": 4_i64 } };
    documents(&db, "posts").update_one(doc! {}, wrong).await.unwrap();
    assert_eq!(store.recount_post(post).await.unwrap(), Some(true));
    assert_eq!(store.counts(&[post]).await.unwrap()[&post], right);
    assert_eq!(store.recount_post(post_id(9)).await.unwrap(), None);
    community.follow(210, 7, 5, 10, true).await;
    let wrong = doc! { "$set": { "followers": 9_i64 } };
    documents(&db, "user_profiles").update_one(doc! { "_id": 5_i64 }, wrong).await.unwrap();
    store.recount_follows(UserId(5)).await.unwrap();
    let counts = community.marks.follow_counts(&[UserId(5)]).await.unwrap();
    assert_eq!(counts[&UserId(5)].followers, 1);
}

async fn what_a_crash_left_uncounted_is_counted_when_it_is_put_again() {
    let (community, store, db) = community(true).await;
    let news = [(1, 10, 50, NotificationKind::Commented), (1, 11, 51, NotificationKind::Liked)];
    community.put(&news).await;
    // As a crash between the notification and its count would leave it.
    let uncounted = doc! { "$inc": { "unread.commented": -1_i64, "version": -1_i64 } };
    documents(&db, "inboxes").update_one(doc! { "_id": 1_i64 }, uncounted).await.unwrap();
    assert_eq!(community.state(1).await.unread_count, 1);
    community.put(&news[..1]).await;
    assert_eq!(community.unread(1).await, [11, 10].map(event_id));
    // An earlier version did not keep what it counted.
    let never = doc! { "$unset": { "unread": "", "recounts": "" } };
    documents(&db, "inboxes").update_one(doc! { "_id": 1_i64 }, never).await.unwrap();
    let before = community.state(1).await;
    assert_eq!(before.unread_count, 2);
    let kept = documents(&db, "inboxes").find_one(doc! { "_id": 1_i64 }).await.unwrap().unwrap();
    let unread = kept.get_document("unread").unwrap();
    assert_eq!(*unread, doc! { "liked": 1_i64, "commented": 1_i64 });
    community.put(&[(1, 12, 52, NotificationKind::Commented)]).await;
    assert_eq!(community.unread(1).await, [12, 11, 10].map(event_id));
    assert_eq!(store.recount_unread(UserId(1)).await.unwrap(), Some(false));
}

async fn what_a_crash_left_half_read_is_read() {
    let (community, _, db) = community(true).await;
    community.put(&[(1, 10, 50, NotificationKind::Commented)]).await;
    community.put(&[(1, 11, 51, NotificationKind::Commented)]).await;
    community.read(90, 1, &[10], None).await;
    assert_eq!(community.unread(1).await, [event_id(11)]);
    // As a crash after the inbox and before its items would leave it.
    let unread = doc! { "$set": { "read": false } };
    documents(&db, "notifications").update_many(doc! {}, unread).await.unwrap();
    let pending = doc! { "$set": { "pending": [stored::event_id(event_id(10))] } };
    documents(&db, "inboxes").update_one(doc! { "_id": 1_i64 }, pending).await.unwrap();
    assert_eq!(community.unread(1).await, [event_id(11)]);
    let event = community.inbox.last_read(UserId(1)).await.unwrap();
    assert_eq!(event, Some(reading(90, 1, &[10], None).1));
}

async fn a_post_that_is_not_one_is_refused_by_the_validator() {
    let Fresh { store, scratch, .. } = content(true).await;
    let mut post = post_by(1, 42, 1);
    post.document.title = "é".repeat(200);
    store.create_post(&post.document, &post.event).await.unwrap();
    let mut post = post_by(2, 42, 1);
    post.document.title = "é".repeat(201);
    let refused = store.create_post(&post.document, &post.event).await;
    assert!(refused.is_err());
    assert_eq!(store.post(post_id(2)).await.unwrap(), None);
    let posts = documents(&scratch.db, "posts");
    let bare = posts.insert_one(doc! { "title": "t", "content": "c", "status": "draft" }).await;
    assert!(bare.is_err(), "it has no author");
}

async fn metadata_comes_back_exactly_and_its_known_fields_are_kept_beside() {
    let Fresh { store, scratch, .. } = content(true).await;
    let depth = 200;
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let texts = [
        r#"{ "seo": {"metaTitle": "T", "keywords": ["k"]}, "featuredImage": {"url":"u","width": 3}, "$x.y": 1.50}"#,
        &deep,
    ];
    for (n, text) in (1..).zip(texts) {
        let mut post = post_by(n, 42, 1);
        let metadata = crate::domain::publication::Json::from_string(text.to_owned());
        post.document.metadata = metadata.ok();
        assert!(post.document.metadata.is_some());
        store.create_post(&post.document, &post.event).await.unwrap();
        let read = store.post(post_id(n)).await.unwrap().unwrap();
        assert_eq!(read.metadata.unwrap().get(), text);
    }
    let found = documents(&scratch.db, "posts")
        .find_one(doc! { "metadata.seo.keywords": "k", "metadata.featuredImage.width": 3 })
        .await;
    assert!(found.unwrap().is_some());
}

async fn a_server_that_is_gone_is_unavailable_in_time() {
    let url = "mongodb://127.0.0.1:1/none";
    let options =
        MongoOptions { selection_timeout: Duration::from_millis(300), ..MongoOptions::default() };
    let db = Mongo::connect(url, "events", options).await.unwrap();
    let began = std::time::Instant::now();
    let log = MongoEventLog::new(db.clone());
    let batch = [1, 2].map(|n| {
        let event = crate::adapters::contract::publication(n);
        crate::adapters::contract::logged(1, n.into(), event)
    });
    let refused = crate::ports::event_log::EventLog::append(&log, &batch).await.unwrap_err();
    assert_eq!(refused.pending, [0, 1]);
    let content = MongoContent::new(db, true, Arc::new(ManualClock::at(at(NOW))));
    let refused = content.post(post_id(1)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable { store: "events", .. }), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

/// Tests that need the server as the contracts do.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        mod alone {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let name = concat!(module_path!(), "::", stringify!($name));
                    super::unless_skipped(name, super::$name()).await;
                }
            )*
        }
    };
}

tests!(
    counts_are_put_right,
    what_a_crash_left_uncounted_is_counted_when_it_is_put_again,
    what_a_crash_left_half_read_is_read,
    a_post_that_is_not_one_is_refused_by_the_validator,
    metadata_comes_back_exactly_and_its_known_fields_are_kept_beside,
    a_server_that_is_gone_is_unavailable_in_time,
);
