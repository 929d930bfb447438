//! `carillon audit` and `carillon rebuild`: what is as it should be raises no alarm, however busy it is; what somebody
//! changed by hand is found, named and repaired.

mod site;

use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;
use serde_json::json;

use crate::support::{Api, PATIENCE, Person, until};
use site::{Change, EVENTS, Site, alone};

/// Makes a test for embedded stores and one for real servers.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(super::Site::embedded().await).await;
                }
            )*
        }

        mod servers {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let name = concat!(module_path!(), "::", stringify!($name));
                    if let Some(site) = super::Site::on_servers(name).await {
                        super::$name(site).await;
                    }
                }
            )*
        }
    };
}

on_both!(
    damaged_analytics_are_found_and_repaired,
    damaged_content_is_found_and_repaired,
    a_lost_post_is_told_again_from_the_log,
    while_writes_go_on_nothing_is_amiss,
    what_is_made_anew_is_as_it_was,
);

async fn damaged_analytics_are_found_and_repaired(mut site: Site) {
    site.settled(EVENTS).await;
    let (post, bob, ada) = (&site.post, site.bob.id, site.ada.id);
    for damage in [
        // One event is not there, though it was counted.
        format!("DELETE FROM interactions WHERE kind = 'post.shared' AND user_id = {bob}"),
        // One is there as something else.
        format!(
            "UPDATE interactions SET subject = 'post:none' WHERE kind = 'post.bookmarked' AND user_id = {bob}"
        ),
        // Counts that nobody made.
        format!(
            "UPDATE post_daily SET count = 77 WHERE post_id = '{post}' AND kind = 'post.liked'"
        ),
        format!("DELETE FROM user_daily WHERE user_id = {bob} AND kind = 'post.commented'"),
        "UPDATE event_totals SET count = count + 9 WHERE kind = 'post.viewed'".to_owned(),
        // Tables for joins that say something else.
        format!("UPDATE users SET username = 'mallory' WHERE user_id = {ada}"),
        format!("UPDATE posts SET title = 'Forged' WHERE post_id = '{post}'"),
        format!("UPDATE follows SET since = NULL WHERE follower = {bob}"),
    ] {
        site.in_analytics(&damage).await;
    }
    // The share is counted though it is gone (user and post), the bookmark for another post than it is of (two posts).
    let told = site.audit(&[]).await;
    let expected = [
        ("unprojected_events", 1),
        ("misprojected_events", 1),
        ("analytics_rows", 3),
        ("daily_counts", 6),
        ("totals", 2),
    ];
    assert_eq!(told.found(), expected.into(), "{:#}", told.report);
    let words = told.examples();
    let miscount = format!("post {post} ");
    for part in
        ["post.shared", "post.bookmarked", "77 instead of 2", "total of post.viewed", &miscount]
    {
        assert!(words.contains(part), "{part} is told of in {words}");
    }
    assert!(words.contains(&format!("user {ada}: not as the log says")), "{words}");
    // What is embedded is one process's alone.
    if site.is_embedded() {
        site.stop().await;
    }
    let told = site.audit(&["--repair"]).await;
    assert_eq!((told.code, told.found().len()), (Some(0), 0), "{:#}", told.report);
    let repair = told.report["repair"].as_object().expect("what was done is told");
    let all = repair["checks"].as_array().expect("checks").iter();
    assert!(all.clone().all(|one| one["found"] == one["repaired"]), "{:#}", told.report);
}

/// What may become of content, each in both kinds of stores.
fn content_damages(site: &Site) -> Vec<(String, Change)> {
    let (post, comment, bob, ada) = (&site.post, &site.comment, site.bob.id, site.ada.id);
    let on_post =
        |kind: &str| format!("post_id = '{post}' AND kind = '{kind}' AND user_id = {bob}");
    let comment_id = ObjectId::parse_str(comment).expect("ids are of that kind");
    vec![
        // Lost with the primary that had it; the count was lost as well, or not.
        (
            format!("DELETE FROM post_marks WHERE {}", on_post("like")),
            ("likes", site.mark_id(), None),
        ),
        (
            format!("DELETE FROM comments WHERE id = '{comment}'"),
            ("comments", doc! { "_id": comment_id }, None),
        ),
        // The document says otherwise than its event.
        (
            format!("UPDATE follows SET is_on = 0 WHERE follower = {bob}"),
            (
                "follows",
                doc! { "_id": format!("{bob}:{ada}") },
                Some(doc! { "$set": { "on": false } }),
            ),
        ),
        (
            format!("UPDATE post_counts SET views = 41 WHERE post_id = '{post}'"),
            (
                "posts",
                doc! { "_id": site.post_id() },
                Some(doc! { "$set": { "engagement.views": 41_i64 } }),
            ),
        ),
        // The inbox was not told.
        (
            format!("DELETE FROM notifications WHERE user_id = {ada} AND kind = 'commented'"),
            ("notifications", doc! { "userId": ada, "kind": "commented" }, None),
        ),
        // A crash came between the document and its event.
        (
            format!("DELETE FROM events WHERE kind = 'post.shared' AND actor = {bob}"),
            ("events", doc! { "kind": "post.shared", "actor": bob }, None),
        ),
    ]
}

async fn damaged_content_is_found_and_repaired(mut site: Site) {
    site.settled(EVENTS).await;
    // A node looks for documents without their event itself, and puts right what it finds within a minute.
    site.stop().await;
    let (post, comment) = (&site.post.clone(), &site.comment.clone());
    let (bob, ada) = (site.bob.id, site.ada.id);
    for (statement, change) in content_damages(&site) {
        site.in_content(&statement, change).await;
    }
    let told = site.audit(&[]).await;
    let found = told.found();
    for (check, count) in [
        ("lost_documents", 3),
        ("untold_notices", 1),
        ("unappended_events", 1),
        ("unknown_interactions", 1),
        ("post_counts", 1),
    ] {
        assert_eq!(found.get(check), Some(&count), "{check} in {:#}", told.report);
    }
    let words = told.examples();
    for part in [
        format!("like of post {post} by {bob} is missing"),
        format!("comment {comment} is missing"),
        format!("follow of {ada} by {bob} contradicts"),
        "41 views instead of 2".to_owned(),
        format!(" for user {ada}"),
    ] {
        assert!(words.contains(&part), "{part} is told of in {words}");
    }
    let told = site.audit(&["--repair"]).await;
    assert_eq!((told.code, told.found().len()), (Some(0), 0), "{:#}", told.report);
    assert_eq!(told.repaired().get("lost_documents"), Some(&3), "{:#}", told.report);
    site.server.restart().await;
    let api = site.server.api();
    let seen = api.read_post(&site.bob, post).await;
    let counts = json!({"likes": 1, "comments": 1, "views": 2, "shares": 1, "bookmarks": 1});
    assert_eq!((&seen["counts"], &seen["liked"]), (&counts, &json!(true)), "{seen}");
    let profile = api.get(&format!("/v1/users/{ada}")).send().await;
    assert_eq!(profile.expect(200)["followers"], json!(1));
    let inbox = api.inbox_of(&site.ada, 3).await;
    assert!(inbox.to_string().contains("\"commented\""), "{inbox}");
}

async fn a_lost_post_is_told_again_from_the_log(mut site: Site) {
    let api = site.server.api();
    let before = api.read_post(&site.bob, &site.post).await;
    site.settled(EVENTS).await;
    site.stop().await;
    let lost = ("posts", doc! { "_id": site.post_id() }, None);
    site.in_content(&format!("DELETE FROM posts WHERE id = '{}'", site.post), lost).await;
    let told = site.audit(&[]).await;
    assert_eq!(told.found(), [("lost_documents", 1)].into(), "{:#}", told.report);
    assert!(told.examples().contains(&format!("post {} is missing", site.post)));
    let told = site.audit(&["--repair"]).await;
    assert_eq!((told.code, told.found().len()), (Some(0), 0), "{:#}", told.report);
    site.server.restart().await;
    let after = site.server.api().read_post(&site.bob, &site.post).await;
    assert_eq!(after, before);
}

/// Writes as fast as it goes until it is told to stop; returns how often.
async fn keep_writing(
    api: Api,
    who: Person,
    post: String,
    stop: tokio::sync::watch::Receiver<bool>,
) -> u64 {
    let mut written = 0;
    while !*stop.borrow() {
        api.like(&who, &post).await;
        api.comment(&who, &post, "And on, and on.").await;
        api.unlike(&who, &post).await;
        api.publish(&who, "Another one").await;
        written += 4;
    }
    written
}

/// Both people, writing all the while.
struct Writers {
    stop: tokio::sync::watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<u64>>,
}

impl Writers {
    fn start(site: &Site) -> Self {
        let (stop, stopping) = tokio::sync::watch::channel(false);
        let write = |who: &Person| {
            let (who, post) = (who.clone(), site.post.clone());
            tokio::spawn(keep_writing(site.server.api(), who, post, stopping.clone()))
        };
        let tasks = vec![write(&site.ada), write(&site.bob)];
        Self { stop, tasks }
    }

    /// Ends it; returns how many events there are then.
    async fn end(self) -> u64 {
        self.stop.send_replace(true);
        let mut written = 0;
        for task in self.tasks {
            written += task.await.expect("every write was acknowledged");
        }
        // Bob's first like was there already.
        EVENTS + written - 1
    }
}

async fn while_writes_go_on_nothing_is_amiss(site: Site) {
    let writers = Writers::start(&site);
    site.settled(EVENTS + 40).await;
    let told = site.audit(&[]).await;
    assert_eq!((told.code, told.found().len()), (Some(0), 0), "{:#}", told.report);
    let all = writers.end().await;
    site.settled(all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_analytics_are_made_anew_while_writes_go_on() {
    let name = concat!(module_path!(), "::the_analytics_are_made_anew_while_writes_go_on");
    let Some(site) = Site::on_servers(name).await else { return };
    site.settled(EVENTS).await;
    let writers = Writers::start(&site);
    for what in ["analytics", "counters", "analytics"] {
        let ran = site.server.beside(&["rebuild", what]).await;
        assert_eq!(ran.code, Some(0), "{} {}", ran.stdout, ran.stderr);
    }
    let all = writers.end().await;
    site.settled(all).await;
}

async fn what_is_made_anew_is_as_it_was(mut site: Site) {
    site.settled(EVENTS).await;
    site.in_analytics("DELETE FROM interactions WHERE kind <> 'post.commented'").await;
    site.in_analytics("UPDATE post_daily SET count = count + 1").await;
    site.in_content(
        &format!("UPDATE post_counts SET likes = 9 WHERE post_id = '{}'", site.post),
        (
            "posts",
            doc! { "_id": site.post_id() },
            Some(doc! { "$set": { "engagement.likes": 9_i64 } }),
        ),
    )
    .await;
    let told = site.audit(&[]).await;
    assert_eq!(told.code, Some(1), "{:#}", told.report);
    if site.is_embedded() {
        let refused = site.server.beside(&["rebuild", "analytics"]).await;
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains("another node uses"), "{}", refused.stderr);
        let told = site.audit(&["--repair"]).await;
        assert_eq!((told.code, &told.report["verdict"]), (Some(2), &json!("unable")));
        site.stop().await;
    }
    for (what, said) in [
        ("analytics", format!("analytics: {EVENTS} events projected")),
        ("counters", "1 were wrong".to_owned()),
        ("trending", "trending: ".to_owned()),
    ] {
        let ran = site.server.beside(&["rebuild", what]).await;
        assert_eq!(ran.code, Some(0), "{} {}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(&said), "{}", ran.stdout);
    }
    site.settled(EVENTS).await;
    if site.is_embedded() {
        site.server.restart().await;
    }
    // What happens next is counted on top, once.
    let api = site.server.api();
    api.like(&site.ada, &site.post).await;
    let hot = until(PATIENCE, "the trending list", async || {
        let list = api.get("/v1/trending?window=1h&explain=true").send().await;
        let first = list.expect(200)["items"][0].clone();
        (first["explain"]["likes"]["count"] == json!(2)).then_some(first)
    });
    assert_eq!(hot.await["post_id"], json!(site.post));
    site.settled(EVENTS + 1).await;
}

/// Which of the runs of a community that was written at once has an event that was not relayed.
#[tokio::test]
async fn a_demo_is_clean_and_a_run_that_was_not_relayed_is_found() {
    let mut server = alone().run().await;
    server.kill();
    std::fs::remove_dir_all(server.data()).expect("nobody uses it");
    let unable = server.beside(&["audit"]).await;
    assert_eq!(unable.code, Some(2), "{}", unable.stdout);
    assert!(unable.stdout.starts_with("Nothing can be said: "), "{}", unable.stdout);
    let ran = server.beside(&["seed-demo"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let clean = server.beside(&["audit"]).await;
    assert_eq!(clean.code, Some(0), "{}", clean.stdout);
    assert!(clean.stdout.ends_with("Nothing differs.\n"), "{}", clean.stdout);
    let path = server.data().join("log.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.expect("it is there");
    let back = "UPDATE incarnations SET relay_seq = relay_seq - 1 WHERE relay_seq > 0";
    sqlx::Executor::execute(&mut connection, back).await.expect("it is carried out");
    drop(connection);
    let late = server.beside(&["audit"]).await;
    assert_eq!(late.code, Some(1), "{}", late.stdout);
    assert!(late.stdout.contains("was not relayed"), "{}", late.stdout);
    // It opens the run again, for the next node to finish.
    let repaired = server.beside(&["audit", "--repair"]).await;
    assert_eq!(repaired.code, Some(1), "{}", repaired.stdout);
    assert!(repaired.stdout.contains("it is open again"), "{}", repaired.stdout);
    server.restart().await;
    until(PATIENCE, "a clean audit", async || {
        (server.beside(&["audit"]).await.code == Some(0)).then_some(())
    })
    .await;
}
