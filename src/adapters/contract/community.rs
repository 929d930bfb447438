//! What the contracts of the ports that keep content are played out with.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::comment::Comment;
use crate::domain::event::{Actor, CommentChange, Event, Fact, Follow, PostChange, PostMark};
use crate::domain::ids::{CommentId, PostId, UserId};
use crate::domain::mark::{Mark, MarkKey};
use crate::domain::notification::{Notice, Notification, NotificationKind};
use crate::domain::post::{Author, Post, PostStatus};
use crate::ports::comments::Comments;
use crate::ports::content::{Content, Kept};
use crate::ports::inbox::Inbox;
use crate::ports::marks::{Marks, StoredMark};

use super::{at, event_id, post};

/// What the clock of a fresh community shows, in milliseconds after the beginning.
pub const NOW: i64 = 1_000_000;

/// The four ports that share one store of content.
pub struct Community {
    /// Posts.
    pub content: Arc<dyn Content>,
    /// Marks.
    pub marks: Arc<dyn Marks>,
    /// Comments.
    pub comments: Arc<dyn Comments>,
    /// Inboxes.
    pub inbox: Arc<dyn Inbox>,
    /// Moves their clock on.
    pub pass: Box<dyn Fn(Duration) + Send + Sync>,
    /// What has to outlive them.
    pub keep: Box<dyn Any + Send>,
}

/// An event by a user, decided at `time`.
pub(crate) fn event_by(n: u16, user: i64, time: i64, fact: Fact) -> Event {
    let actor = Actor { id: UserId(user), username: format!("user-{user}") };
    Event { id: event_id(n), actor: Some(actor), time: at(time), fact }
}

/// A post as `author` published it at `time`, with the event `n`.
pub(crate) fn post_by(n: u8, author: i64, time: i64) -> Kept<Post> {
    let username = format!("user-{author}");
    let document = Post {
        author: Author { id: UserId(author), display_name: username.clone(), username },
        published_at: Some(at(time)),
        created_at: at(time),
        updated_at: at(time),
        ..post(n)
    };
    let fact = Fact::PostPublished(Box::new(document.clone()));
    Kept { document, removed: false, event: event_by(n.into(), author, time, fact) }
}

/// A post that is changed by the event `n`.
pub(crate) fn changed(
    before: &Kept<Post>,
    n: u16,
    change: impl FnOnce(&mut Kept<Post>),
) -> Kept<Post> {
    let mut kept = before.clone();
    change(&mut kept);
    let (author, time) = (kept.document.author.id.0, kept.event.time);
    let changed = PostChange { post: kept.document.clone(), former_tags: Vec::new() };
    let first = before.document.status == PostStatus::Draft
        && kept.document.status == PostStatus::Published;
    let fact = match kept.removed {
        true => Fact::PostRemoved(Box::new(changed)),
        false if first => Fact::PostPublished(Box::new(kept.document.clone())),
        false => Fact::PostUpdated(Box::new(changed)),
    };
    let event = event_by(n, author, 0, fact);
    Kept { event: Event { time, ..event }, ..kept }
}

impl Community {
    /// Keeps a new post.
    pub(crate) async fn create(&self, post: &Kept<Post>) {
        self.content.create_post(&post.document, &post.event).await.unwrap();
    }

    /// Replaces a post by what it is changed to.
    pub(crate) async fn change(
        &self,
        before: &Kept<Post>,
        n: u16,
        change: impl FnOnce(&mut Kept<Post>),
    ) -> Kept<Post> {
        let after = changed(before, n, change);
        let replaced = self.content.replace_post(&after, before.event.id).await;
        assert!(replaced.unwrap());
        after
    }

    /// Sets a mark, whatever it was before.
    pub(crate) async fn set(&self, key: MarkKey, n: u16, time: i64, on: bool) {
        let before = self.marks.mark(&key).await.unwrap();
        let mark = mark(key, n, time, on);
        let set = self.marks.set_mark(&key, &mark, before.map(|mark| mark.event.id)).await;
        assert!(set.unwrap());
    }

    /// Makes `user` follow `author`, or no longer, from `time` on.
    pub(crate) async fn follow(&self, n: u16, user: i64, author: i64, time: i64, on: bool) {
        self.set(key(user, Mark::Follow(UserId(author))), n, time, on).await;
    }
}

/// The key of a mark.
pub(crate) fn key(user: i64, mark: Mark) -> MarkKey {
    MarkKey { user: UserId(user), mark }
}

/// A mark that was set, or taken back, by the event `n`.
pub(crate) fn mark(key: MarkKey, n: u16, time: i64, on: bool) -> StoredMark {
    let fact = match (key.mark, on) {
        (Mark::Follow(user), true) => Fact::UserFollowed(Follow { user }),
        (Mark::Follow(user), false) => Fact::UserUnfollowed(Follow { user }),
        (Mark::Like(post_id), _) => Fact::PostLiked(of(post_id)),
        (Mark::Bookmark(post_id), _) => Fact::PostBookmarked(of(post_id)),
        (Mark::Share(post_id, _), _) => Fact::PostShared(of(post_id)),
        (Mark::View(post_id, _), _) => Fact::PostViewed(of(post_id)),
    };
    StoredMark { on, event: event_by(n, key.user.0, time, fact) }
}

fn of(post_id: PostId) -> PostMark {
    PostMark { post_id, post_author: UserId(42), since: None }
}

/// The id of the comment `n`.
pub(crate) fn comment_id(n: u8) -> CommentId {
    CommentId::from_parts(at(0), n.into(), [n; 3])
}

/// The comment `n` on a post, written at `time` with the event `n` + 100.
pub(crate) fn comment(n: u8, post_id: PostId, time: i64) -> Kept<Comment> {
    let document = Comment {
        id: comment_id(n),
        post_id,
        parent_id: (n > 1).then(|| comment_id(1)),
        author: post(1).author,
        content: format!("No. {n}: \"it's\" \\ 🦀"),
        created_at: at(time),
        edited: false,
    };
    let change = CommentChange { comment: document.clone(), notify: Vec::new() };
    let fact = Fact::PostCommented(Box::new(change));
    Kept { document, removed: false, event: event_by(100 + u16::from(n), 42, time, fact) }
}

/// A notice to `recipient` of the event `n`, at `time`, that user 9 did something to a post.
pub(crate) fn notice(recipient: i64, n: u16, time: i64, kind: NotificationKind) -> Notice {
    let about = kind != NotificationKind::Followed;
    let commented = matches!(kind, NotificationKind::Commented | NotificationKind::Mentioned);
    Notice {
        recipient: UserId(recipient),
        notification: Notification {
            id: event_id(n),
            r#type: kind,
            actor: Actor { id: UserId(9), username: "nine".into() },
            post_id: about.then(|| super::post_id(1)),
            comment_id: commented.then(|| comment_id(1)),
            created_at: at(time),
            read: false,
            seen: false,
        },
    }
}
