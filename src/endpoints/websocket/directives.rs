//! What a back end asks of a session.

use std::borrow::Cow;

use super::session::Session;
use crate::admission::tokens::Grant;
use crate::client_protocol::codes::{ClientError, Disconnect, Unsubscribed};
use crate::client_protocol::command::SubscribeRequest;
use crate::client_protocol::directive::{Act, Directive, Joining};
use crate::client_protocol::reply::SubscribePush;
use crate::domain::channel::ChannelName;
use crate::domain::time::Timestamp;

impl Session {
    /// Carries a directive out, if this connection is meant.
    pub(super) async fn follow_directive(&mut self, directive: &Directive) {
        let (user, client) = (self.user_name().unwrap_or_default(), self.client.to_string());
        let session = self.emulated.as_ref().map(|emulated| emulated.session().to_string());
        let session = session.unwrap_or_default();
        if self.identity.is_none() || !directive.to.means(user, &client, &session) {
            return;
        }
        match &directive.act {
            Act::Subscribe(joining) => {
                if let Err(error) = self.join(joining).await {
                    let channel = &joining.channel;
                    tracing::debug!(?error, %channel, "a client could not be subscribed");
                }
            }
            Act::Unsubscribe { channel } => self.expel(channel).await,
            Act::Disconnect { code, reason } => {
                let reason = Cow::Owned(reason.clone());
                self.close(Disconnect { code: *code, reason });
            }
            Act::Send { data } => self.link.send(self.link.wire().message(data)),
            Act::Refresh { expired: true, .. } => self.close(Disconnect::EXPIRED),
            Act::Refresh { expired: false, expire_at } => self.expire_at(*expire_at),
        }
    }

    /// Subscribes the client to a channel, as one of those that the server chose.
    async fn join(&mut self, joining: &Joining) -> Result<(), ClientError> {
        let Joining { channel, since, data, info, overrides, expire_at } = joining;
        if self.link.is_subscribed(channel) {
            return Ok(());
        }
        let options = self.app.publish.namespaces.options(channel).cloned();
        let options = options.ok_or(ClientError::UNKNOWN_CHANNEL)?;
        let grant = Grant { info: info.clone(), data: None, overrides: *overrides };
        let options = self.granted(channel, options, &grant);
        let mut request = SubscribeRequest { recoverable: true, ..SubscribeRequest::default() };
        if let Some((epoch, offset)) = since {
            (request.recover, request.epoch, request.offset) = (true, epoch.clone(), *offset);
        }
        self.link.begin_subscription(channel);
        self.link.serve(channel);
        if *expire_at > 0 {
            self.prolong_in(channel, Timestamp::from_millis(expire_at.saturating_mul(1_000)));
        }
        let past = match self.enter(channel, &options, &request).await {
            Ok(past) => past,
            Err(error) => {
                self.leave(channel).await;
                return Err(error);
            }
        };
        if let Some(identity) = &mut self.identity {
            identity.server_side.push(channel.clone());
        }
        self.release();
        let result = past.result();
        let push = SubscribePush {
            recoverable: result.recoverable,
            // What the client missed follows; its place is the one before that.
            offset: past.before(),
            epoch: result.epoch,
            positioned: result.positioned,
            data: data.as_ref(),
        };
        let wire = self.link.wire();
        self.link.send(wire.subscribe(channel, push));
        for publication in past.publications() {
            self.link.send_past(wire.publication(channel, publication));
        }
        self.go_live(channel, past).await;
        Ok(())
    }

    /// Ends a subscription, whoever began it.
    async fn expel(&mut self, channel: &ChannelName) {
        if !self.link.is_subscribed(channel) {
            return;
        }
        self.leave(channel).await;
        self.release();
        self.link.send(self.link.wire().unsubscribe(channel, Unsubscribed::SERVER));
    }

    /// Has the connection expire at a time (Unix seconds; 0 and none: never), unless the client shows a new token by then,
    /// and tells it so. A connection of a session ends with the session, whatever a back end says.
    fn expire_at(&self, expire_at: Option<i64>) {
        if self.identity.as_ref().is_some_and(|identity| identity.session.is_some()) {
            return;
        }
        let at = expire_at.filter(|seconds| *seconds > 0);
        let at = at.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1_000)));
        if at.is_some_and(|at| self.ttl(at) == 0) {
            return self.close(Disconnect::EXPIRED);
        }
        let ttl = at.map(|at| self.prolong(at));
        if ttl.is_none() {
            self.link.expires(None);
        }
        self.release();
        self.link.send(self.link.wire().refresh(ttl));
    }
}
