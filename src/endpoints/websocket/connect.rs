//! The connect command: who the client is, and what the server subscribes it to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::session::{Identity, Session};
use super::subscribe::Past;
use crate::admission::authenticate::{Verdict, account_number};
use crate::admission::tokens::{ConnectionToken, Grant};
use crate::client_protocol::codes::{ClientError, Disconnect};
use crate::client_protocol::command::{ConnectRequest, SubscribeRequest};
use crate::client_protocol::reply::{ConnectResult, ReplyBody};
use crate::domain::account::{SESSION_PREFIX, SignedIn, TokenHash, User};
use crate::domain::channel::ChannelName;
use crate::domain::ids::UserId;
use crate::domain::notification::InboxState;
use crate::domain::time::Timestamp;
use crate::endpoints::reply::{client_error_of, client_error_of_store};
use crate::hub::Owner;

/// What a connection token led to.
pub(super) enum Admitted {
    User(Box<SignedIn>),
    /// The user of a JWT, with the account, if there is one.
    Bearer(Box<ConnectionToken>, Option<Box<User>>),
    Anonymous,
    /// Answered with this error; the client may try again with another token.
    Refused(ClientError),
    Closed(Disconnect),
}

/// What a connection begins with.
#[derive(Default)]
struct Beginning {
    identity: Identity,
    owner: Owner,
    /// When its JWT expires.
    expires_at: Option<Timestamp>,
    /// What the server subscribes it to, besides its inbox.
    subs: BTreeMap<String, Grant>,
}

impl Session {
    pub(super) async fn connect(&mut self, id: u32, mut request: ConnectRequest) {
        let token = match std::mem::take(&mut request.token) {
            token if token.is_empty() => self.upgrade_token.take().map_or(token, String::from),
            token => token,
        };
        let mut lifetime = None;
        let beginning = match self.admit(&token).await {
            Admitted::User(signed_in) => {
                lifetime = Some(signed_in.session.expires_at.since(self.app.clock.now()));
                Beginning::of_session(*signed_in)
            }
            Admitted::Bearer(token, account) => Beginning::of_token(*token, account),
            Admitted::Anonymous => Beginning::default(),
            Admitted::Refused(ClientError::TOKEN_EXPIRED | ClientError::EXPIRED)
                if self.link.wire().is_unidirectional() =>
            {
                return self.link.close(Disconnect::EXPIRED);
            }
            Admitted::Refused(_) if self.link.wire().is_unidirectional() => {
                return self.link.close(Disconnect::SERVER_ERROR);
            }
            Admitted::Refused(error) => return self.reply(id, ReplyBody::Error(error)),
            Admitted::Closed(why) => return self.link.close(why),
        };
        let Beginning { identity, owner, expires_at, subs } = beginning;
        self.link.identified(owner, lifetime);
        self.identity = Some(Box::new(identity));
        let ttl = expires_at.map(|at| self.prolong(at));
        if let Err(error) = self.welcome(id, ttl, subs, request.subs).await {
            tracing::debug!(?error, "a client could not be given its server-side subscriptions");
            self.link.close(Disconnect::SERVER_ERROR);
        }
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
            Ok(Ok(Verdict::Bearer(token))) => return self.admit_bearer(token).await,
            Ok(Ok(Verdict::Expired)) => return Admitted::Refused(ClientError::TOKEN_EXPIRED),
            Ok(Ok(Verdict::Invalid)) => return Admitted::Closed(Disconnect::INVALID_TOKEN),
            Ok(Err(error)) => return Admitted::Refused(client_error_of_store(error)),
            Err(error) => return Admitted::Refused(error),
        };
        if token.starts_with(SESSION_PREFIX) {
            return Admitted::User(signed_in);
        }
        // Whose ticket it was is known only now: look again after the claim.
        self.link.claim(owner_of(&signed_in));
        let (app, session) = (Arc::clone(&self.app), signed_in.session.token);
        match self.beside(async move { app.accounts.authenticator.is_good(&session).await }).await {
            Ok(Ok(true)) => Admitted::User(signed_in),
            Ok(Ok(false)) => Admitted::Closed(Disconnect::INVALID_TOKEN),
            Ok(Err(error)) => Admitted::Refused(client_error_of_store(error)),
            Err(error) => Admitted::Refused(error),
        }
    }

    /// Subscribes the client to its inbox and to `subs`, and answers the connect command.
    async fn welcome(
        &mut self,
        id: u32,
        ttl: Option<u32>,
        mut subs: BTreeMap<String, Grant>,
        mut recover: BTreeMap<String, SubscribeRequest>,
    ) -> Result<(), ClientError> {
        let mut joined: Vec<(ChannelName, Past)> = Vec::new();
        if let Some(user) = self.user_id() {
            let channel = ChannelName::inbox(user);
            let grant = subs.remove(channel.as_str()).unwrap_or_default();
            let request = recover.remove(channel.as_str()).unwrap_or_default();
            self.link.begin_subscription(&channel);
            self.arrive(user).await?;
            let past = self.receive(&channel, grant, &request).await?;
            joined.push((channel, past));
        }
        for (name, grant) in subs {
            let channel = self.channel(&name)?;
            let request = recover.remove(channel.as_str()).unwrap_or_default();
            self.link.begin_subscription(&channel);
            let past = self.receive(&channel, grant, &request).await?;
            joined.push((channel, past));
        }
        let data = match self.user_id() {
            Some(user) => Some(self.inbox_state(user).await?),
            None => None,
        };
        let subs =
            joined.iter().map(|(channel, past)| (channel.to_string(), past.result())).collect();
        let limits = &self.app.limits;
        let session = self.emulated.as_ref().map(|emulated| emulated.session().to_string());
        let node =
            session.as_ref().map_or_else(String::new, |_| self.app.control.node().to_owned());
        let result = ConnectResult {
            client: self.client.to_string(),
            version: env!("CARGO_PKG_VERSION"),
            data,
            subs,
            expires: ttl.is_some(),
            ttl: ttl.unwrap_or_default(),
            ping: limits.ping_seconds,
            pong: !self.link.wire().is_unidirectional(),
            session: session.unwrap_or_default(),
            node,
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
    /// Joins a channel that the server subscribes the client to.
    async fn receive(
        &mut self,
        channel: &ChannelName,
        grant: Grant,
        request: &SubscribeRequest,
    ) -> Result<Past, ClientError> {
        let options = self.app.publish.namespaces.options(channel).cloned();
        let options = options.ok_or(ClientError::UNKNOWN_CHANNEL)?;
        let options = self.granted(channel, options, &grant);
        self.link.serve(channel);
        let past = self.enter(channel, &options, request).await?;
        Ok(past.telling(grant.data, None))
    }

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

impl Beginning {
    fn of_session(signed_in: SignedIn) -> Self {
        let owner = owner_of(&signed_in);
        let SignedIn { session, user } = signed_in;
        let identity = Identity {
            name: user.id.to_string().into(),
            user: Some(user),
            session: Some(session.token),
            ..Identity::default()
        };
        Self { identity, owner, ..Self::default() }
    }

    fn of_token(token: ConnectionToken, account: Option<Box<User>>) -> Self {
        let owner = bearer_of(&token.user);
        let identity = Identity {
            name: token.user.into(),
            user: account.map(|account| *account),
            by_token: true,
            info: token.info,
            ..Identity::default()
        };
        Self { identity, owner, expires_at: token.expires_at, subs: token.subs }
    }
}

fn owner_of(signed_in: &SignedIn) -> Owner {
    Owner { user: signed_in.user.id.0, session: signed_in.session.token.short() }
}

/// Whose the connection with a JWT is: it has no session.
pub(super) fn bearer_of(user: &str) -> Owner {
    Owner { user: account_number(user).map_or(0, |number| number.0), session: 0 }
}
