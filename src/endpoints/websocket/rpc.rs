//! The rpc command: what users do, over the connection that they have.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::session::Session;
use crate::client_protocol::codes::ClientError;
use crate::client_protocol::command::RpcRequest;
use crate::client_protocol::reply::{ReplyBody, RpcResult};
use crate::commands::comment_on_post::Remark;
use crate::commands::read_notifications::Reading;
use crate::domain::account::TokenHash;
use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::problem::Problem;
use crate::domain::publication::Json;
use crate::endpoints::action::{Action, Asked, perform};
use crate::endpoints::reply::command_error_of;
use crate::endpoints::request::{App, parse, path_id};
use crate::ports::idempotency::StoredAnswer;

#[derive(Deserialize)]
struct PostParameters {
    post_id: String,
}

#[derive(Deserialize)]
struct UserParameters {
    user_id: UserId,
}

#[derive(Deserialize)]
struct CommentParameters {
    post_id: String,
    #[serde(default)]
    content: String,
    parent_id: Option<String>,
}

#[derive(Deserialize)]
struct ReadParameters {
    id: Option<String>,
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize)]
struct KeyParameter {
    idempotency_key: Option<String>,
}

/// Why a call is not carried out.
enum Refusal {
    /// There is no such method.
    Unknown,
    /// The parameters are not what the method takes.
    Malformed,
    /// The parameters name something that does not exist.
    Problem(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Session {
    pub(super) async fn rpc(&mut self, id: u32, request: RpcRequest) -> Result<(), ClientError> {
        let data = request.data.as_ref().map_or("{}", Json::get);
        let action = read(&request.method, data).map_err(|refusal| match refusal {
            Refusal::Unknown => ClientError::NOT_AVAILABLE,
            Refusal::Malformed => ClientError::BAD_REQUEST,
            Refusal::Problem(problem) => command_error_of(&problem),
        })?;
        let session = self.identity.as_ref().and_then(|identity| identity.session);
        let session = session.ok_or(ClientError::UNAUTHORIZED)?;
        let KeyParameter { idempotency_key: key } =
            parse(data.as_bytes()).map_err(|_| ClientError::BAD_REQUEST)?;
        let asked = Asked {
            route: format!("rpc {}", request.method),
            fingerprint: data.as_bytes().to_vec(),
            key,
        };
        let app = Arc::clone(&self.app);
        let called = self.beside(async move { call(&app, session, asked, action).await });
        let answer = called.await?.map_err(|problem| command_error_of(&problem))?;
        let body = if answer.body.is_empty() { b"{}".to_vec() } else { answer.body };
        let data = String::from_utf8(body).ok().and_then(|text| Json::from_string(text).ok());
        let data = data.ok_or(ClientError::INTERNAL)?;
        self.reply(id, ReplyBody::Rpc(RpcResult { data }));
        Ok(())
    }
}

/// Carries a call out under the rules and limits of REST: the session is looked
/// at again, so that a plan, a log-out or a ban counts from the next call on.
async fn call(
    app: &App,
    session: TokenHash,
    asked: Asked,
    action: Action,
) -> Result<StoredAnswer, Problem> {
    let signed_in = app.accounts.authenticator.signed_in(&session).await?;
    let user = signed_in.ok_or_else(Problem::unauthorized)?.user;
    if let Some(taken) = app.rate_limiter.write(&user).await {
        taken.check()?;
    }
    perform(app, user, asked, action).await
}

fn read(method: &str, data: &str) -> Result<Action, Refusal> {
    let post = || -> Result<PostId, Refusal> {
        let PostParameters { post_id } = parameters(data)?;
        Ok(path_id(&post_id, "post")?)
    };
    let user = || parameters(data).map(|UserParameters { user_id }| user_id);
    Ok(match method {
        "like_post" => Action::LikePost(post()?),
        "unlike_post" => Action::UnlikePost(post()?),
        "view_post" => Action::ViewPost(post()?),
        "comment" => {
            let CommentParameters { post_id, content, parent_id } = parameters(data)?;
            let post = path_id(&post_id, "post")?;
            Action::Comment(Remark { post, parent: parent_id, content })
        }
        "follow" => Action::Follow(user()?),
        "unfollow" => Action::Unfollow(user()?),
        "mark_read" => match parameters(data)? {
            ReadParameters { all: true, id: None } => Action::Read(Reading::All),
            ReadParameters { all: false, id: Some(id) } => {
                Action::Read(Reading::One(path_id::<EventId>(&id, "notification")?))
            }
            ReadParameters { .. } => return Err(Refusal::Malformed),
        },
        _ => return Err(Refusal::Unknown),
    })
}

fn parameters<T: DeserializeOwned>(data: &str) -> Result<T, Refusal> {
    // serde would read an array as the fields in order, which are no parameters.
    let is_object = data.trim_start().starts_with('{');
    let read = is_object.then(|| parse(data.as_bytes()));
    read.and_then(Result::ok).ok_or(Refusal::Malformed)
}
