//! One client's session: what it says is decoded as it is read, and dealt with
//! in order, one command after the other.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use super::traces::Traces;
use crate::client_protocol::codes::{ClientError, Disconnect};
use crate::client_protocol::command::{Command, InvalidCommand, PublishRequest, Request};
use crate::client_protocol::directive::Directive;
use crate::client_protocol::reply::{Empty, Reply, ReplyBody};
use crate::domain::account::{TokenHash, User};
use crate::domain::channel::ChannelName;
use crate::domain::ids::{ClientId, UserId};
use crate::domain::publication::{ClientInfo, Json};
use crate::endpoints::request::App;
use crate::hub::{Conversation, Emulated, EmulationSession, Link, Message};
use crate::relay::follow_index::Presence;

/// Replies to one frame of commands are gathered up to this size.
const HELD_MAX_BYTES: usize = 16 * 1024;
/// Commands that are dealt with, if nothing has to be waited for, before other work of the thread gets a turn.
const COMMANDS_PER_TURN: u8 = 64;

/// A session on one connection.
pub(in crate::endpoints) struct Session {
    pub(super) link: Link,
    pub(super) app: App,
    pub(super) client: ClientId,
    /// Set by the connect command.
    pub(super) identity: Option<Box<Identity>>,
    /// The token of the upgrade request, for a connect command that has none.
    pub(super) upgrade_token: Option<Box<str>>,
    /// What it leaves behind in channels, if anything.
    pub(super) traces: Option<Rc<RefCell<Traces>>>,
    /// Its place among the connections that hear of posts by whom the user follows.
    pub(super) following: Option<Presence>,
    /// Its place among the emulated connections, if it is one.
    pub(super) emulated: Option<Box<Emulated>>,
    heard: VecDeque<Heard>,
    /// Commands that were dealt with since other work of the thread had a turn, in this read and those before: a client
    /// that has sent more by then is read again at once.
    in_turn: u8,
    /// Replies that go out with the next one, in one frame, a line each.
    held: RefCell<Vec<u8>>,
}

/// Whose session it is; by default an anonymous client's.
#[derive(Default)]
pub(super) struct Identity {
    /// The user's name: the number of the account, or what a JWT says; empty for an anonymous client.
    pub name: Box<str>,
    /// The user's account; `None` for an anonymous client, and for a user of others.
    pub user: Option<User>,
    /// The session that proves it.
    pub session: Option<TokenHash>,
    /// Whether a JWT proves it, which can be replaced by another.
    pub by_token: bool,
    /// What the JWT says about the connection.
    pub info: Option<Arc<Json>>,
    /// What JWTs say about single subscriptions.
    pub channel_infos: BTreeMap<ChannelName, Arc<Json>>,
    /// Channels that the server subscribed.
    pub server_side: Vec<ChannelName>,
}

/// What waits to be dealt with.
enum Heard {
    Command(Box<Command>),
    /// A command that can be answered, but not carried out.
    Malformed(u32),
    /// Something that cannot even be answered.
    Unanswerable,
    /// What a back end asks.
    Order(Arc<Directive>),
}

impl Session {
    pub(in crate::endpoints) fn new(
        link: Link,
        app: App,
        client: ClientId,
        token: Option<String>,
    ) -> Self {
        Self {
            link,
            app,
            client,
            identity: None,
            upgrade_token: token.map(String::into_boxed_str),
            traces: None,
            following: None,
            emulated: None,
            heard: VecDeque::new(),
            in_turn: 0,
            held: RefCell::new(Vec::new()),
        }
    }

    /// Takes what the client said with its request. An emulated connection is found by `session` from now on.
    pub(in crate::endpoints) fn begin(&mut self, session: EmulationSession, first: &[u8]) {
        if self.link.wire().is_emulated() {
            self.emulated = Some(Box::new(self.app.hub.emulate(session, &self.link)));
        }
        self.hear(Message::Binary(first));
    }

    /// The user's name; `None` for an anonymous client.
    pub(super) fn user_name(&self) -> Option<&str> {
        let name = self.identity.as_ref().map(|identity| &*identity.name);
        name.filter(|name| !name.is_empty())
    }

    /// The account of the user, if there is one.
    pub(super) fn user(&self) -> Option<&User> {
        self.identity.as_ref().and_then(|identity| identity.user.as_ref())
    }

    pub(super) fn user_id(&self) -> Option<UserId> {
        self.user().map(|user| user.id)
    }

    /// Who this client is, as others in a channel may know it.
    pub(super) fn info_in(&self, channel: &ChannelName) -> ClientInfo {
        let identity = self.identity.as_ref();
        ClientInfo {
            user: self.user_name().unwrap_or_default().to_owned(),
            client: self.client.to_string(),
            conn_info: identity.and_then(|identity| identity.info.clone()),
            chan_info: identity.and_then(|identity| identity.channel_infos.get(channel).cloned()),
        }
    }

    pub(super) fn reply(&self, id: u32, body: ReplyBody<'_>) {
        let encoding = self.link.wire().encoding();
        encoding.gather(&mut self.held.borrow_mut(), &encoding.reply(&Reply { id, body }));
    }

    /// Sends the replies that are held. Whatever must stand after them, a push or
    /// the end of the connection, is sent only then.
    pub(super) fn release(&self) {
        let held = std::mem::take(&mut *self.held.borrow_mut());
        if !held.is_empty() {
            self.link.send(self.link.wire().frame(&held));
        }
    }

    pub(super) fn close(&self, why: Disconnect) {
        self.release();
        self.link.close(why);
    }

    /// Runs something that waits for a store beside the thread that serves the sockets.
    pub(super) async fn beside<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ClientError> {
        self.app.io.spawn(work).await.map_err(|error| {
            tracing::error!(%error, "a task of a session failed");
            ClientError::INTERNAL
        })
    }

    /// Reads a channel's name.
    pub(super) fn channel(&self, name: &str) -> Result<ChannelName, ClientError> {
        let parsed = ChannelName::parse(name, self.app.limits.channel_max_bytes);
        parsed.map_err(|_| ClientError::BAD_REQUEST)
    }

    /// Takes the next command that waits, if that is to publish.
    pub(super) fn next_publish(&mut self) -> Option<(u32, PublishRequest)> {
        let is_publish = |heard: &Heard| match heard {
            Heard::Command(command) => matches!(command.request, Request::Publish(_)),
            _ => false,
        };
        let Heard::Command(command) = self.heard.pop_front_if(|heard| is_publish(heard))? else {
            return None;
        };
        let Command { id, request: Request::Publish(request) } = *command else { return None };
        Some((id, request))
    }

    async fn deal_with(&mut self, heard: Heard) {
        let command = match heard {
            Heard::Command(command) => *command,
            // Before it has connected, a client must not say anything else.
            Heard::Malformed(id) if self.identity.is_some() => {
                return self.reply(id, ReplyBody::Error(ClientError::BAD_REQUEST));
            }
            Heard::Order(directive) => return self.follow_directive(&directive).await,
            Heard::Malformed(_) | Heard::Unanswerable => {
                return self.close(Disconnect::BAD_REQUEST);
            }
        };
        let id = command.id;
        let outcome = match command.request {
            Request::Connect(request) if self.identity.is_none() => {
                return self.connect(id, request).await;
            }
            Request::Connect(_) => return self.close(Disconnect::BAD_REQUEST),
            _ if self.identity.is_none() => return self.close(Disconnect::BAD_REQUEST),
            Request::Pong => return self.link.pong(),
            Request::Subscribe(request) => self.subscribe(id, request).await,
            Request::Unsubscribe(request) => self.unsubscribe(id, &request.channel).await,
            Request::Publish(request) => return self.publish(id, request).await,
            Request::Presence(request) => self.presence(id, &request.channel).await,
            Request::PresenceStats(request) => self.presence_stats(id, &request.channel).await,
            Request::History(request) => self.history(id, request).await,
            Request::Rpc(request) => self.rpc(id, request).await,
            Request::Refresh(request) => self.refresh(id, request).await,
            Request::SubRefresh(request) => self.sub_refresh(id, request).await,
            Request::Ping => {
                self.reply(id, ReplyBody::Ping(Empty {}));
                Ok(())
            }
            // Nothing here wants to hear it, and the protocol has no reply to it.
            Request::Send => {
                tracing::debug!(client = %self.client, "a client sent a message");
                return self.app.metrics.clients.sent();
            }
        };
        if let Err(error) = outcome {
            self.reply(id, ReplyBody::Error(error));
        }
    }
}

impl Conversation for Session {
    fn hear(&mut self, message: Message<'_>) {
        let bytes = match message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        };
        let wire = self.link.wire();
        if wire.is_unidirectional() && (self.identity.is_some() || self.is_busy()) {
            // All that such a client has to say is who it is.
            return;
        }
        let mut count = 0_usize;
        for command in wire.encoding().commands(bytes) {
            count += 1;
            let heard = match command {
                _ if count > self.app.limits.commands_per_frame => Heard::Unanswerable,
                Ok(Command { request: Request::Pong, .. }) if self.identity.is_some() => {
                    self.link.pong();
                    continue;
                }
                Ok(command) => Heard::Command(Box::new(command)),
                Err(InvalidCommand::Malformed(id)) => Heard::Malformed(id),
                Err(InvalidCommand::Unanswerable) => Heard::Unanswerable,
            };
            let last = matches!(heard, Heard::Unanswerable);
            self.heard.push_back(heard);
            if last {
                return;
            }
        }
        if count == 0 {
            self.heard.push_back(Heard::Unanswerable);
        }
    }

    fn obey(&mut self, order: Arc<Directive>) {
        self.heard.push_back(Heard::Order(order));
    }

    fn is_busy(&self) -> bool {
        !self.heard.is_empty()
    }

    async fn act(&mut self) {
        while let Some(heard) = self.heard.pop_front() {
            self.deal_with(heard).await;
            self.in_turn += 1;
            if self.in_turn == COMMANDS_PER_TURN {
                self.in_turn = 0;
                tokio::task::yield_now().await;
            }
            if self.heard.is_empty() || self.held.borrow().len() > HELD_MAX_BYTES {
                self.release();
            }
            if self.link.is_closed() {
                return;
            }
        }
        // An idle session keeps no room for commands.
        self.heard = VecDeque::new();
    }
}
