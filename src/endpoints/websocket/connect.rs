//! The connect command: who the client is, and what the server subscribes it to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::session::{Identity, Session};
use super::subscribe::Past;
use crate::admission::authenticate::Verdict;
use crate::client_protocol::codes::{ClientError, Disconnect};
use crate::client_protocol::command::{ConnectRequest, SubscribeRequest};
use crate::client_protocol::reply::{ConnectResult, ReplyBody};
use crate::domain::account::{SESSION_PREFIX, SignedIn, TokenHash};
use crate::domain::channel::ChannelName;
use crate::domain::ids::UserId;
use crate::domain::notification::InboxState;
use crate::endpoints::reply::{client_error_of, client_error_of_store};
use crate::hub::{Owner, Wire};

/// What a connection token led to.
enum Admitted {
    User(Box<SignedIn>),
    Anonymous,
    /// Answered with this error; the client may try again with another token.
    Refused(ClientError),
    Closed(Disconnect),
}

impl Session {
    pub(super) async fn connect(&mut self, id: u32, mut request: ConnectRequest) {
        let token = match std::mem::take(&mut request.token) {
            token if token.is_empty() => self.upgrade_token.take().map_or(token, String::from),
            token => token,
        };
        let signed_in = match self.admit(&token).await {
            Admitted::User(signed_in) => Some(signed_in),
            Admitted::Anonymous => None,
            Admitted::Refused(ClientError::TOKEN_EXPIRED) if self.is_unidirectional() => {
                return self.link.close(Disconnect::EXPIRED);
            }
            Admitted::Refused(_) if self.is_unidirectional() => {
                return self.link.close(Disconnect::SERVER_ERROR);
            }
            Admitted::Refused(error) => return self.reply(id, ReplyBody::Error(error)),
            Admitted::Closed(why) => return self.link.close(why),
        };
        let lifetime = signed_in.as_ref().map(|s| s.session.expires_at.since(self.app.clock.now()));
        self.link.identified(owner_of(signed_in.as_deref()), lifetime);
        let session = signed_in.as_ref().map(|signed_in| signed_in.session.token);
        self.identity = Some(Box::new(Identity {
            user: signed_in.map(|signed_in| signed_in.user),
            session,
            server_side: Vec::new(),
        }));
        if let Err(error) = self.welcome(id, request.subs).await {
            tracing::debug!(?error, "a client could not be given its server-side subscriptions");
            self.link.close(Disconnect::SERVER_ERROR);
        }
    }

    /// Whether the client cannot answer, neither pings nor errors.
    fn is_unidirectional(&self) -> bool {
        self.link.wire() == Wire::EventStream
    }

    async fn admit(&self, token: &str) -> Admitted {
        if token.is_empty() {
            let allowed = self.app.limits.insecure || self.app.limits.allow_anonymous;
            return if allowed {
                Admitted::Anonymous
            } else {
                Admitted::Closed(Disconnect::BAD_REQUEST)
            };
        }
        if token.starts_with(SESSION_PREFIX) {
            // A log-out that happens while the session is read finds the connection by this.
            let owner = Owner { user: 0, session: TokenHash::of(token).short() };
            self.link.claim(owner);
        }
        let (app, owned) = (Arc::clone(&self.app), token.to_owned());
        let verdict =
            self.beside(async move { app.accounts.authenticator.connection(&owned).await }).await;
        let signed_in = match verdict {
            Ok(Ok(Verdict::SignedIn(signed_in))) => signed_in,
            Ok(Ok(Verdict::Expired)) => return Admitted::Refused(ClientError::TOKEN_EXPIRED),
            Ok(Ok(Verdict::Invalid)) => return Admitted::Closed(Disconnect::INVALID_TOKEN),
            Ok(Err(error)) => return Admitted::Refused(client_error_of_store(error)),
            Err(error) => return Admitted::Refused(error),
        };
        if token.starts_with(SESSION_PREFIX) {
            return Admitted::User(signed_in);
        }
        // Whose ticket it was is known only now: look again after the claim.
        self.link.claim(owner_of(Some(&signed_in)));
        let (app, session) = (Arc::clone(&self.app), signed_in.session.token);
        match self.beside(async move { app.accounts.authenticator.is_good(&session).await }).await {
            Ok(Ok(true)) => Admitted::User(signed_in),
            Ok(Ok(false)) => Admitted::Closed(Disconnect::INVALID_TOKEN),
            Ok(Err(error)) => Admitted::Refused(client_error_of_store(error)),
            Err(error) => Admitted::Refused(error),
        }
    }

    /// Subscribes the client to its inbox and answers the connect command.
    async fn welcome(
        &mut self,
        id: u32,
        mut recover: BTreeMap<String, SubscribeRequest>,
    ) -> Result<(), ClientError> {
        let mut joined: Vec<(ChannelName, Past)> = Vec::new();
        if let Some(user) = self.user_id() {
            let channel = ChannelName::inbox(user);
            let options = self.app.publish.namespaces.options(&channel).cloned();
            let options = options.ok_or(ClientError::UNKNOWN_CHANNEL)?;
            let request = recover.remove(channel.as_str()).unwrap_or_default();
            self.link.begin_subscription_by_server(&channel);
            self.arrive(user).await?;
            let past = self.read_past(&channel, &options, &request).await?;
            joined.push((channel, past));
        }
        let data = match self.user_id() {
            Some(user) => Some(self.inbox_state(user).await?),
            None => None,
        };
        let subs =
            joined.iter().map(|(channel, past)| (channel.to_string(), past.result())).collect();
        let limits = &self.app.limits;
        let result = ConnectResult {
            client: self.client.to_string(),
            version: env!("CARGO_PKG_VERSION"),
            data,
            subs,
            ping: limits.ping_seconds,
            pong: !self.is_unidirectional(),
        };
        self.reply(id, ReplyBody::Connect(result));
        self.release();
        for (channel, past) in joined {
            if let Some(identity) = &mut self.identity {
                identity.server_side.push(channel.clone());
            }
            self.go_live(&channel, past).await;
        }
        Ok(())
    }
}

impl Session {
    /// From now on the user is told of posts by authors whom they follow.
    async fn arrive(&mut self, user: UserId) -> Result<(), ClientError> {
        let follows = Arc::clone(&self.app.follows);
        let arrived = self.beside(async move { follows.arrive(user).await }).await?;
        self.following = Some(arrived.map_err(client_error_of_store)?);
        Ok(())
    }

    /// What the inbox holds, read after everything that changes it was subscribed to.
    async fn inbox_state(&self, user: UserId) -> Result<InboxState, ClientError> {
        let app = Arc::clone(&self.app);
        let state = self.beside(async move { app.inbox.state(user).await }).await?;
        state.map_err(|problem| client_error_of(&problem))
    }
}

fn owner_of(signed_in: Option<&SignedIn>) -> Owner {
    signed_in.map_or_else(Owner::default, |signed_in| Owner {
        user: signed_in.user.id.0,
        session: signed_in.session.token.short(),
    })
}
