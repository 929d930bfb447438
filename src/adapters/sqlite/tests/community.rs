//! Content: the contracts with and without a log beside it, and what outlives a restart and an update.

use crate::adapters::contract::community::{Community, NOW, comment, key, post_by};
use crate::adapters::contract::content::embedded;
use crate::adapters::contract::{at, event_id, post_id};
use crate::adapters::memory::manual_clock::ManualClock;
use crate::domain::ids::UserId;
use crate::domain::mark::Mark;
use crate::domain::notification::NotificationKind;
use crate::domain::post::PostStatus;
use crate::ports::content::PostFilter;

use super::*;

async fn community_in(directory: TempDir, covered: bool) -> Community {
    let clock = Arc::new(ManualClock::at(at(NOW)));
    let db = open(directory.path(), Schema::Log).await;
    let store = Arc::new(SqliteContent::new(db, covered, clock.clone()));
    Community {
        content: store.clone(),
        marks: store.clone(),
        comments: store.clone(),
        inbox: store,
        pass: Box::new(move |duration| clock.advance(duration)),
        keep: Box::new(directory),
    }
}

async fn covered() -> Community {
    community_in(tempfile::tempdir().unwrap(), true).await
}

mod beside_the_log {
    use super::covered;

    crate::adapters::contract::content::content_contract!(covered);
    crate::adapters::contract::post_lists::post_lists_contract!(covered);
    crate::adapters::contract::marks::marks_contract!(covered);
    crate::adapters::contract::comments::comments_contract!(covered);
    crate::adapters::contract::inbox::inbox_contract!(covered);
    crate::adapters::contract::inbox_lists::inbox_lists_contract!(covered);
}

mod in_a_file_of_its_own {
    use super::*;

    async fn alone() -> Community {
        community_in(tempfile::tempdir().unwrap(), false).await
    }

    crate::adapters::contract::content::content_contract!(alone);
    crate::adapters::contract::marks::marks_contract!(alone);
    crate::adapters::contract::comments::comments_contract!(alone);
    crate::adapters::contract::inbox::inbox_contract!(alone);
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let community = covered().await;
    let post = post_by(1, 5, 100);
    community.follow(10, 7, 5, 50, true).await;
    community.create(&post).await;
    community.set(key(7, Mark::Like(post_id(1))), 11, 110, true).await;
    let said = comment(1, post_id(1), 120);
    community.comments.create_comment(&said.document, &said.event).await.unwrap();
    community.put(&[(7, 12, 130, NotificationKind::Commented)]).await;
    community.create(&post_by(2, 5, 140)).await;
    community.read(13, 7, &[1, 12], None).await;
    community.mute(7, &[NotificationKind::Liked]).await;
    let latest = community.listed(7).await.remove(0);
    community.inbox.mark_seen(UserId(7), &latest).await.unwrap();

    let listed = community.listed(7).await;
    let state = community.state(7).await;
    let counts = community.content.counts(&[post_id(1)]).await.unwrap();
    let preferences = community.inbox.preferences(UserId(7)).await.unwrap();
    let events = embedded(&*community.content, 0, 999).await;
    let Community { keep, .. } = community;
    let directory = keep.downcast::<TempDir>().unwrap();
    let again = community_in(*directory, true).await;
    assert_eq!(again.listed(7).await, listed);
    assert_eq!((listed.len(), again.unread(7).await), (3, vec![event_id(2)]));
    assert_eq!(again.state(7).await, state);
    let kept = again.content.counts(&[post_id(1)]).await.unwrap();
    assert_eq!((kept[&post_id(1)].likes, kept[&post_id(1)].comments), (1, 1));
    assert_eq!(kept, counts);
    assert_eq!(again.inbox.preferences(UserId(7)).await.unwrap(), preferences);
    assert_eq!(again.comments.comments(post_id(1), None, 9).await.unwrap(), [said.document]);
    let kept = embedded(&*again.content, 0, 999).await;
    assert_eq!((kept.len(), kept), (6, events));
    assert_eq!(again.marks.followed_by(UserId(7)).await.unwrap(), [UserId(5)]);
}

/// A file as the version before this one left it, with two posts in it.
async fn earlier_file(directory: &Path) -> [crate::domain::post::Post; 2] {
    let published = post_by(1, 5, 100_123).document;
    let mut draft = post_by(2, 5, 200_007).document;
    draft.status = PostStatus::Draft;
    draft.published_at = None;
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(directory.join(Schema::Log.file_name()))
        .create_if_missing(true);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let mut earlier = sqlx::migrate!("migrations/sqlite/log");
    earlier.migrations.to_mut().retain(|migration| migration.version <= 4);
    earlier.run_direct(None, &mut connection, false).await.unwrap();
    for (n, post) in [(1, &published), (2, &draft)] {
        let event = crate::adapters::contract::posted(n, post);
        sqlx::query(
            "INSERT INTO posts (id, author_id, status, slug, document, event_id, event)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(post.id.to_string())
        .bind(post.author.id.0)
        .bind(post.status.as_str())
        .bind(&post.slug)
        .bind(serde_json::to_string(post).unwrap())
        .bind(&event.id.0.as_bytes()[..])
        .bind(serde_json::to_string(&event).unwrap())
        .execute(&mut connection)
        .await
        .unwrap();
    }
    sqlx::Connection::close(connection).await.unwrap();
    [published, draft]
}

#[tokio::test]
async fn a_file_of_the_version_before_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let [published, draft] = earlier_file(directory.path()).await;
    let community = community_in(directory, true).await;
    let kept = community.content.kept_post(published.id).await.unwrap().unwrap();
    assert_eq!((&kept.document, kept.removed, kept.event.id), (&published, false, event_id(1)));
    let all = community.content.posts(&PostFilter::default(), None, 9).await.unwrap();
    assert_eq!(all, [draft.clone(), published.clone()]);
    let tagged = PostFilter {
        tag: Some("rust".into()),
        status: Some(PostStatus::Published),
        ..PostFilter::default()
    };
    let last = crate::ports::content::place_of(&published);
    assert_eq!(community.content.posts(&tagged, None, 9).await.unwrap(), [published]);
    assert_eq!(community.content.posts(&tagged, Some(&last), 9).await.unwrap(), []);
    // It is in the inbox of those who followed its author all the time, to the millisecond.
    community.follow(10, 7, 5, 100_123, true).await;
    community.follow(11, 8, 5, 100_124, true).await;
    assert_eq!(community.unread(7).await, [event_id(1)]);
    assert_eq!(community.unread(8).await, []);
    community.change(&kept, 20, |kept| kept.removed = true).await;
    assert_eq!(community.unread(7).await, []);
    let draft = community.content.kept_post(draft.id).await.unwrap().unwrap();
    assert_eq!(draft.event.id, event_id(2));
    let embedded = embedded(&*community.content, 0, 99).await;
    assert_eq!(embedded.len(), 4);
}
