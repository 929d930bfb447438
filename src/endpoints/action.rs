//! What a user can do, whichever way it is asked for: REST and `rpc` carry out
//! the same actions, under the same keys, with the same answers.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;

use super::reply::{Refused, storable};
use super::request::{App, IdempotencyKey, to_the_end};
use super::services::Services;
use crate::commands::comment_on_post::Remark;
use crate::commands::deed::Deed;
use crate::commands::draft::Draft;
use crate::commands::edit_post::PostEdit;
use crate::commands::read_notifications::Reading;
use crate::domain::account::User;
use crate::domain::ids::{CommentId, PostId, UserId};
use crate::domain::post::{Post, PostCounts};
use crate::domain::problem::{Problem, ProblemKind};
use crate::ports::idempotency::{KeyScope, Minted, StoredAnswer};
use crate::ports::marks::OwnMarks;
use crate::queries::posts::PostView;

/// One thing to do.
#[derive(Debug)]
#[allow(missing_docs, reason = "each variant is the command of its name")]
pub enum Action {
    PublishPost(Box<Draft>),
    EditPost(PostId, Box<PostEdit>),
    RemovePost(PostId),
    LikePost(PostId),
    UnlikePost(PostId),
    BookmarkPost(PostId),
    UnbookmarkPost(PostId),
    SharePost(PostId),
    ViewPost(PostId),
    Comment(Remark),
    EditComment(CommentId, String),
    RemoveComment(CommentId),
    Follow(UserId),
    Unfollow(UserId),
    Read(Reading),
}

/// The likes of a post.
#[derive(Serialize, ToSchema)]
pub struct Likes {
    /// Accounts that like it now.
    likes: u64,
    /// Whether the caller does.
    liked: bool,
}

/// The bookmarks of a post.
#[derive(Serialize, ToSchema)]
pub struct Bookmarks {
    /// Accounts that keep it now.
    bookmarks: u64,
    /// Whether the caller does.
    bookmarked: bool,
}

/// The shares of a post.
#[derive(Serialize, ToSchema)]
pub struct Shares {
    /// Times that it was shared.
    shares: u64,
}

/// The views of a post.
#[derive(Serialize, ToSchema)]
pub struct Views {
    /// One per user and hour.
    views: u64,
}

/// The request that asks for an action: what a repeat with the same key must have in common.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method and path template, or `rpc` and the method.
    pub route: String,
    /// The whole path, and the body as it came.
    pub fingerprint: Vec<u8>,
    /// The caller's idempotency key, if there is one.
    pub key: Option<String>,
}

impl FromRequestParts<App> for Asked {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let IdempotencyKey(key) = IdempotencyKey::from_request_parts(parts, app).await?;
        let template = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let route = format!("{} {template}", parts.method);
        Ok(Self { route, fingerprint: parts.uri.path().as_bytes().to_vec(), key })
    }
}

impl Asked {
    /// The same request with the body that came with it.
    pub fn with_body(mut self, raw: &[u8]) -> Self {
        self.fingerprint.push(b'\n');
        self.fingerprint.extend_from_slice(raw);
        self
    }
}

/// Carries out, to its end and once for each key, what creates no event.
pub async fn once<F>(
    app: &App,
    principal: String,
    asked: Asked,
    work: impl FnOnce(App) -> F + Send + 'static,
) -> Result<StoredAnswer, Problem>
where
    F: Future<Output = Result<StoredAnswer, Problem>> + Send + 'static,
{
    let services = Arc::clone(app);
    let work = async move {
        let route = asked.route;
        let scope = asked.key.map(|key| KeyScope { principal, route, key });
        let minted = services.mint.bare();
        let shared = Arc::clone(&services);
        services.once.run(scope, &asked.fingerprint, minted, |_| work(shared)).await
    };
    to_the_end(app, work).await
}

/// Carries an action out, to its end, once for each key.
pub async fn perform(
    app: &App,
    user: User,
    asked: Asked,
    action: Action,
) -> Result<StoredAnswer, Problem> {
    let services = Arc::clone(app);
    let work = async move {
        let services = &*services;
        let principal = format!("user:{}", user.id);
        let route = asked.route;
        let scope = asked.key.map(|key| KeyScope { principal, route, key });
        let minted = match &action {
            Action::PublishPost(_) => services.mint.post(),
            Action::Comment(_) => services.mint.comment(),
            _ => services.mint.bare(),
        };
        let carry_out = |minted: Minted| async move {
            let deed = Deed { user, event: minted.event, now: services.clock.now() };
            carry_out(services, &deed, action, &minted.resource).await
        };
        services.once.run(scope, &asked.fingerprint, minted, carry_out).await
    };
    to_the_end(app, work).await
}

async fn carry_out(
    services: &Services,
    deed: &Deed,
    action: Action,
    resource: &str,
) -> Result<StoredAnswer, Problem> {
    let does = &services.community;
    match action {
        Action::PublishPost(draft) => {
            let post = does.publish_post.run(deed, *draft, id_of(resource)?).await?;
            post_answer(services, deed, StatusCode::CREATED, post).await
        }
        Action::EditPost(id, edit) => {
            let post = does.edit_post.run(deed, id, &edit).await?;
            post_answer(services, deed, StatusCode::OK, post).await
        }
        Action::RemovePost(id) => nothing(does.remove_post.run(deed, id).await?),
        Action::LikePost(id) => {
            ok(&Likes { likes: does.like_post.run(deed, id).await?, liked: true })
        }
        Action::UnlikePost(id) => {
            ok(&Likes { likes: does.unlike_post.run(deed, id).await?, liked: false })
        }
        Action::BookmarkPost(id) => {
            let bookmarks = does.bookmark_post.run(deed, id).await?;
            ok(&Bookmarks { bookmarks, bookmarked: true })
        }
        Action::UnbookmarkPost(id) => {
            let bookmarks = does.unbookmark_post.run(deed, id).await?;
            ok(&Bookmarks { bookmarks, bookmarked: false })
        }
        Action::SharePost(id) => ok(&Shares { shares: does.share_post.run(deed, id).await? }),
        Action::ViewPost(id) => ok(&Views { views: does.view_post.run(deed, id).await? }),
        Action::Comment(remark) => {
            let comment = does.comment_on_post.run(deed, remark, id_of(resource)?).await?;
            storable(StatusCode::CREATED, &comment)
        }
        Action::EditComment(id, content) => ok(&does.edit_comment.run(deed, id, &content).await?),
        Action::RemoveComment(id) => nothing(does.remove_comment.run(deed, id).await?),
        Action::Follow(user) => {
            does.follow_user.run(deed, user).await?;
            note(services, deed, user, true).await
        }
        Action::Unfollow(user) => {
            does.unfollow_user.run(deed, user).await?;
            note(services, deed, user, false).await
        }
        Action::Read(reading) => ok(&does.read_notifications.run(deed, reading).await?),
    }
}

/// Has this node tell the caller of posts, or no longer, before the answer is
/// given. The follow is done, whatever comes of this: the relay tells all nodes.
async fn note(
    services: &Services,
    deed: &Deed,
    author: UserId,
    follows: bool,
) -> Result<StoredAnswer, Problem> {
    if let Err(error) = services.follows.note(deed.actor(), author, follows).await {
        tracing::warn!(%error, "this node hears of a follow from the relay only");
    }
    nothing(())
}

/// A post that was just written, as the one who wrote it sees it, with the counts of now.
async fn post_answer(
    services: &Services,
    deed: &Deed,
    status: StatusCode,
    mut post: Post,
) -> Result<StoredAnswer, Problem> {
    let marking = &services.community.like_post.marking;
    // Nobody did anything with a post that is new.
    if status != StatusCode::CREATED {
        post.counts = marking.gathered.counts.ask(post.id).await?;
    }
    let own = match post.counts {
        PostCounts { likes: 0, bookmarks: 0, .. } => OwnMarks::default(),
        _ => {
            let own = marking.marks.own_marks(deed.actor(), &[post.id]).await?;
            own.get(&post.id).copied().unwrap_or_default()
        }
    };
    storable(status, &PostView::of(post, Some(own)))
}

fn ok(body: &impl Serialize) -> Result<StoredAnswer, Problem> {
    storable(StatusCode::OK, body)
}

fn nothing((): ()) -> Result<StoredAnswer, Problem> {
    Ok(StoredAnswer { status: StatusCode::NO_CONTENT.as_u16(), body: Vec::new() })
}

fn id_of<T: std::str::FromStr>(resource: &str) -> Result<T, Problem> {
    resource.parse().map_err(|_| {
        let detail = "A kept idempotency key holds no id.";
        Problem::new(ProblemKind::Internal, "internal_error", detail)
    })
}
