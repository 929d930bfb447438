//! Connections and subscriptions that a JWT opens: how they begin, and how another token prolongs them.

use std::sync::Arc;
use std::time::Duration;

use super::connect::{Admitted, bearer_of};
use super::session::Session;
use crate::admission::authenticate::Holder;
use crate::admission::tokens::{ConnectionToken, Grant, Refusal, SubscriptionToken};
use crate::client_protocol::codes::{ClientError, Disconnect};
use crate::client_protocol::command::{RefreshRequest, SubRefreshRequest};
use crate::client_protocol::reply::{RefreshResult, ReplyBody, SubRefreshResult};
use crate::domain::channel::ChannelName;
use crate::domain::namespace::ChannelOptions;
use crate::domain::publication::Json;
use crate::domain::time::Timestamp;
use crate::endpoints::reply::client_error_of_store;

/// What allows a client to join a channel.
#[derive(Default)]
pub(super) struct Ticket {
    /// The options of the channel for this client.
    pub options: ChannelOptions,
    /// What the client is told.
    pub data: Option<Arc<Json>>,
    /// When the subscription expires, if it does.
    pub expires_at: Option<Timestamp>,
}

impl Session {
    /// Lets in who shows a JWT that is good.
    pub(super) async fn admit_bearer(&self, mut token: Box<ConnectionToken>) -> Admitted {
        for name in token.subs.keys() {
            match self.channel(name) {
                Ok(channel) if self.app.publish.namespaces.options(&channel).is_some() => {}
                Ok(_) => return Admitted::Refused(ClientError::UNKNOWN_CHANNEL),
                Err(error) => return Admitted::Refused(error),
            }
        }
        if self.app.limits.insecure {
            token.expires_at = None;
        }
        if token.expires_at.is_some_and(|at| self.ttl(at) == 0) {
            return Admitted::Refused(ClientError::EXPIRED);
        }
        // Before the account is looked at: an account that is closed afterwards is found by this.
        self.link.claim(bearer_of(&token.user));
        let (app, user) = (Arc::clone(&self.app), token.user.clone());
        let holder = async move { app.accounts.authenticator.holder(&user).await };
        match self.beside(holder).await {
            Ok(Ok(Holder::Account(account))) => Admitted::Bearer(token, Some(account)),
            Ok(Ok(Holder::Stranger)) => Admitted::Bearer(token, None),
            Ok(Ok(Holder::Refused)) => Admitted::Closed(Disconnect::INVALID_TOKEN),
            Ok(Err(error)) => Admitted::Refused(client_error_of_store(error)),
            Err(error) => Admitted::Refused(error),
        }
    }

    /// Deals with the refresh command.
    pub(super) async fn refresh(
        &mut self,
        id: u32,
        request: RefreshRequest,
    ) -> Result<(), ClientError> {
        if request.token.is_empty() {
            self.close(Disconnect::BAD_REQUEST);
            return Ok(());
        }
        if !self.identity.as_ref().is_some_and(|identity| identity.by_token) {
            // A session is prolonged by nothing but a login.
            return Err(ClientError::NOT_AVAILABLE);
        }
        let app = Arc::clone(&self.app);
        let judged =
            self.beside(async move { app.accounts.authenticator.bearer(&request.token).await });
        let token = match judged.await? {
            Ok(token) if token.user == self.user_name().unwrap_or_default() => token,
            Ok(_) | Err(Refusal::Invalid) => {
                self.close(Disconnect::INVALID_TOKEN);
                return Ok(());
            }
            // The client comes back, and asks for a token before it connects.
            Err(Refusal::Expired) => {
                self.close(Disconnect::EXPIRED);
                return Ok(());
            }
            Err(Refusal::Keys(error)) => return Err(client_error_of_store(error)),
        };
        let expires_at = token.expires_at.filter(|_| !self.app.limits.insecure);
        if expires_at.is_some_and(|at| self.ttl(at) == 0) {
            return Err(ClientError::EXPIRED);
        }
        if let (Some(identity), Some(info)) = (&mut self.identity, token.info) {
            identity.info = Some(info);
        }
        let ttl = expires_at.map(|at| self.prolong(at));
        if ttl.is_none() {
            self.link.expires(None);
        }
        let result = RefreshResult {
            client: self.client.to_string(),
            version: env!("CARGO_PKG_VERSION"),
            expires: ttl.is_some(),
            ttl: ttl.unwrap_or_default(),
        };
        self.reply(id, ReplyBody::Refresh(result));
        Ok(())
    }

    /// Deals with the sub_refresh command.
    pub(super) async fn sub_refresh(
        &mut self,
        id: u32,
        request: SubRefreshRequest,
    ) -> Result<(), ClientError> {
        if request.channel.is_empty() {
            self.close(Disconnect::BAD_REQUEST);
            return Ok(());
        }
        let channel = self.channel(&request.channel)?;
        if !self.link.is_subscribed(&channel) || self.is_server_side(&channel) {
            return Err(ClientError::PERMISSION_DENIED);
        }
        if request.token.is_empty() {
            return Err(ClientError::BAD_REQUEST);
        }
        let token = match self.judge(request.token).await? {
            Ok(token) if self.is_for(&token, &channel) => token,
            Ok(_) | Err(Refusal::Invalid) => {
                self.close(Disconnect::INVALID_TOKEN);
                return Ok(());
            }
            Err(Refusal::Expired) => return Err(ClientError::TOKEN_EXPIRED),
            Err(Refusal::Keys(error)) => return Err(client_error_of_store(error)),
        };
        if token.expires_at.is_some_and(|at| self.ttl(at) == 0) {
            return Err(ClientError::EXPIRED);
        }
        self.note_info(&channel, token.grant.info);
        let ttl = token.expires_at.map(|at| self.prolong_in(&channel, at));
        if ttl.is_none() {
            self.link.limit(&channel, None, None);
        }
        let result = SubRefreshResult { expires: ttl.is_some(), ttl: ttl.unwrap_or_default() };
        self.reply(id, ReplyBody::SubRefresh(result));
        Ok(())
    }

    /// Whether a token allows the client to join a channel, and how.
    pub(super) async fn permit_bearer(
        &mut self,
        channel: &ChannelName,
        token: &str,
    ) -> Result<Ticket, ClientError> {
        let options = self.app.publish.namespaces.options(channel).cloned();
        let options = options.ok_or(ClientError::UNKNOWN_CHANNEL)?;
        let token = match self.judge(token.to_owned()).await? {
            Ok(token) if self.is_for(&token, channel) => token,
            Ok(_) | Err(Refusal::Invalid) => return Err(ClientError::PERMISSION_DENIED),
            Err(Refusal::Expired) => return Err(ClientError::TOKEN_EXPIRED),
            Err(Refusal::Keys(error)) => return Err(client_error_of_store(error)),
        };
        if token.expires_at.is_some_and(|at| self.ttl(at) == 0) {
            return Err(ClientError::EXPIRED);
        }
        let options = self.granted(channel, options, &token.grant);
        Ok(Ticket { options, data: token.grant.data, expires_at: token.expires_at })
    }

    async fn judge(
        &self,
        token: String,
    ) -> Result<Result<SubscriptionToken, Refusal>, ClientError> {
        let app = Arc::clone(&self.app);
        self.beside(async move { app.accounts.authenticator.subscription(&token).await }).await
    }

    /// Whether a token is about this client and this channel.
    fn is_for(&self, token: &SubscriptionToken, channel: &ChannelName) -> bool {
        token.user == self.user_name().unwrap_or_default()
            && token.channel == channel.as_str()
            && (token.client.is_empty() || token.client == self.client.to_string())
    }

    /// Notes what a token says about a subscription, and answers the options that the channel has for it.
    pub(super) fn granted(
        &mut self,
        channel: &ChannelName,
        options: ChannelOptions,
        grant: &Grant,
    ) -> ChannelOptions {
        self.note_info(channel, grant.info.clone());
        grant.overrides.over(options)
    }

    fn note_info(&mut self, channel: &ChannelName, info: Option<Arc<Json>>) {
        if let (Some(identity), Some(info)) = (&mut self.identity, info) {
            identity.channel_infos.insert(channel.clone(), info);
        }
    }

    fn is_server_side(&self, channel: &ChannelName) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.server_side.contains(channel))
    }

    /// In how many seconds it is `at`; 0 if it is over.
    pub(super) fn ttl(&self, at: Timestamp) -> u32 {
        let left = at.as_millis().div_euclid(1_000) - self.app.clock.now().as_millis() / 1_000;
        u32::try_from(left.max(0)).unwrap_or(u32::MAX)
    }

    /// Has the connection expire at `at`, which is so many seconds away.
    pub(super) fn prolong(&self, at: Timestamp) -> u32 {
        let lifetime = at.since(self.app.clock.now()) + self.app.limits.expired_close_delay;
        self.link.expires(Some(lifetime));
        self.ttl(at)
    }

    /// Has a subscription expire at `at`, which is so many seconds away.
    pub(super) fn prolong_in(&mut self, channel: &ChannelName, at: Timestamp) -> u32 {
        let delay: Duration = self.app.limits.expired_sub_close_delay;
        let lifetime = at.since(self.app.clock.now()) + delay;
        self.link.limit(channel, Some(lifetime), self.disappears(channel));
        self.ttl(at)
    }
}
