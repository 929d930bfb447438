//! The subscribe and unsubscribe commands: joining a channel without a hole.
//!
//! The order is what keeps the promise: deliveries are kept from the moment the
//! broker has confirmed, then the past is read, then both are put together by
//! offset, and only then is the subscription live.

use std::sync::Arc;

use super::session::Session;
use super::tokens::Ticket;
use crate::admission::permissions::{Action, Denied};
use crate::client_protocol::codes::{ClientError, Disconnect, Unsubscribed};
use crate::client_protocol::command::SubscribeRequest;
use crate::client_protocol::reply::{Empty, ReplyBody, SubscribeResult, WirePublication};
use crate::domain::channel::ChannelName;
use crate::domain::namespace::{ChannelOptions, RecoveryMode};
use crate::domain::publication::{Json, Publication, StreamPosition};
use crate::endpoints::reply::client_error_of_store;
use crate::hub::{Broadcast, Joined};
use crate::ports::StoreError;
use crate::ports::broker::Retention;
use crate::queries::recovery::{RecoveredPage, Rest, Since};

/// What a new subscriber is told about what was before.
pub(super) struct Past {
    options: ChannelOptions,
    /// Where the subscriber stands after `publications`; `None` without history.
    position: Option<StreamPosition>,
    publications: Vec<Publication>,
    positioned: bool,
    recoverable: bool,
    recovered: bool,
    was_recovering: bool,
    rest: Rest,
    /// What a token says to the subscriber.
    data: Option<Arc<Json>>,
    /// In how many seconds the subscription expires, if it does.
    ttl: Option<u32>,
    /// Whether publications may come as deltas.
    takes_deltas: bool,
}

impl Past {
    /// The same, with what a token says.
    pub(super) fn telling(self, data: Option<Arc<Json>>, ttl: Option<u32>) -> Self {
        Self { data, ttl, ..self }
    }

    pub(super) fn result(&self) -> SubscribeResult<'_> {
        let position = self.position.as_ref().filter(|_| self.positioned);
        SubscribeResult {
            expires: self.ttl.is_some(),
            ttl: self.ttl.unwrap_or_default(),
            data: self.data.as_deref(),
            recoverable: self.recoverable,
            epoch: position.map(|position| position.epoch.clone()),
            publications: self.publications.iter().map(|it| self.told(it)).collect(),
            recovered: self.recovered,
            offset: position.map_or(0, |position| position.offset),
            positioned: self.positioned,
            was_recovering: self.was_recovering,
            delta: self.takes_deltas,
        }
    }

    fn told<'a>(&self, publication: &'a Publication) -> WirePublication<'a> {
        let whole = WirePublication::from(publication);
        if self.takes_deltas { whole.for_deltas(None) } else { whole }
    }
}

impl Past {
    /// What was published before, oldest first.
    pub(super) fn publications(&self) -> &[Publication] {
        &self.publications
    }

    /// The offset at which the subscriber is before it is told of `publications`; 0 if that cannot be said.
    pub(super) fn before(&self) -> u64 {
        let first = self.publications.first().map(|first| first.offset.saturating_sub(1));
        first.unwrap_or_else(|| self.position.as_ref().map_or(0, |position| position.offset))
    }
}

impl Session {
    pub(super) async fn subscribe(
        &mut self,
        id: u32,
        mut request: SubscribeRequest,
    ) -> Result<(), ClientError> {
        let channel = self.channel(&request.channel)?;
        if self.link.is_subscribed(&channel) {
            return Err(ClientError::ALREADY_SUBSCRIBED);
        }
        self.forget_past_terms(&channel);
        let Ticket { mut options, data, expires_at } = match request.token.as_str() {
            "" => {
                Ticket { options: self.permit(&channel, Action::Subscribe)?, ..Ticket::default() }
            }
            token => self.permit_bearer(&channel, token).await?,
        };
        let server_side = self.identity.as_ref().map_or(0, |identity| identity.server_side.len());
        if self.link.subscriptions() >= self.app.limits.channel_limit + server_side {
            return Err(ClientError::LIMIT_EXCEEDED);
        }
        if request.join_leave && self.would_be_permitted(&channel, Action::HearPassages) {
            options.force_push_join_leave = true;
        }
        if !self.would_be_permitted(&channel, Action::ReadHistory) {
            // Who may not read the past is told of it only where all are.
            (request.recoverable, request.positioned) = (false, false);
            request.recover &= options.force_recovery;
        }
        let takes_deltas = takes_deltas(&request, &options)?;
        self.link.begin_subscription(&channel);
        if takes_deltas {
            self.link.take_deltas(&channel, options.delta_publish);
        }
        let past = match self.enter(&channel, &options, &request).await {
            Ok(past) => {
                let ttl = expires_at.map(|at| self.prolong_in(&channel, at));
                Past { takes_deltas, ..past.telling(data, ttl) }
            }
            Err(error) => {
                self.leave(&channel).await;
                return Err(error);
            }
        };
        self.reply(id, ReplyBody::Subscribe(past.result()));
        self.release();
        self.go_live(&channel, past).await;
        Ok(())
    }

    pub(super) async fn unsubscribe(&mut self, id: u32, name: &str) -> Result<(), ClientError> {
        let channel = self.channel(name)?;
        // Of what the server subscribed as well, as with Centrifugo.
        self.leave(&channel).await;
        self.reply(id, ReplyBody::Unsubscribe(Empty {}));
        Ok(())
    }

    /// Whether the client may act in a channel, and the channel's options.
    pub(super) fn permit(
        &self,
        channel: &ChannelName,
        action: Action,
    ) -> Result<ChannelOptions, ClientError> {
        let subscribed = self.link.is_subscribed(channel);
        let checked = self.app.permissions.check(self.user_name(), channel, action, subscribed);
        checked.cloned().map_err(|denied| match denied {
            Denied::UnknownChannel => ClientError::UNKNOWN_CHANNEL,
            Denied::NotPermitted => ClientError::PERMISSION_DENIED,
            Denied::NotAvailable => ClientError::NOT_AVAILABLE,
        })
    }

    /// Whether the client may act in a channel once it is subscribed.
    fn would_be_permitted(&self, channel: &ChannelName, action: Action) -> bool {
        self.app.permissions.check(self.user_name(), channel, action, true).is_ok()
    }

    /// Reads what the subscriber missed, and enters the presence where the channel has one.
    pub(super) async fn enter(
        &mut self,
        channel: &ChannelName,
        options: &ChannelOptions,
        request: &SubscribeRequest,
    ) -> Result<Past, ClientError> {
        let past = self.read_past(channel, options, request).await?;
        self.appear(channel, options).await?;
        Ok(past)
    }

    /// Waits for the broker, then reads what the subscriber missed.
    async fn read_past(
        &self,
        channel: &ChannelName,
        options: &ChannelOptions,
        request: &SubscribeRequest,
    ) -> Result<Past, ClientError> {
        let recovers = request.recoverable || request.recover || options.force_recovery;
        let recoverable = recovers && options.keeps_history();
        let watched = recovers || request.positioned || options.force_positioning;
        let positioned = watched && options.keeps_history();
        let since = (recoverable && request.recover)
            .then(|| Since { epoch: request.epoch.clone(), offset: request.offset });
        let was_recovering = since.is_some();
        let cached = options.force_recovery_mode == RecoveryMode::Cache
            && recoverable
            && (options.force_recovery || was_recovering);
        let (app, channel, options) = (Arc::clone(&self.app), channel.clone(), options.clone());
        let registry = self.link.registry();
        let read = async move {
            let retention = Retention::of(&options);
            registry.confirm(&channel, retention).await?;
            let Some(retention) = retention else {
                return Ok::<_, StoreError>((options, None, None));
            };
            let page = match &since {
                _ if cached => app.recovery.latest(&channel, retention, since.as_ref()).await?,
                Some(since) => app.recovery.missed(&channel, &options, since).await?,
                None => None,
            };
            let position = match &page {
                Some(page) => page.position.clone(),
                None => app.recovery.top(&channel, retention).await?,
            };
            Ok((options, Some(position), page))
        };
        let (options, position, page) = self.beside(read).await?.map_err(client_error_of_store)?;
        let recovered = page.is_some();
        let (publications, rest) =
            page.map_or((Vec::new(), Rest::Nothing), |page| (page.publications, page.rest));
        Ok(Past {
            options,
            position,
            publications,
            positioned,
            recoverable,
            recovered,
            was_recovering,
            rest,
            data: None,
            ttl: None,
            takes_deltas: false,
        })
    }

    /// Makes a subscription live once it was answered: sends what the first page
    /// left over, as fast as the socket takes it, and what was published meanwhile.
    pub(super) async fn go_live(&mut self, channel: &ChannelName, past: Past) {
        if past.options.force_push_join_leave {
            self.link.watch(channel);
        }
        self.catch_up(channel, past).await;
        self.tell_of_coming(channel).await;
    }

    async fn catch_up(&mut self, channel: &ChannelName, past: Past) {
        let Past { options, mut position, mut rest, takes_deltas, .. } = past;
        let wire = self.link.wire();
        loop {
            match rest {
                Rest::Nothing => match self.link.finish_subscription(channel, position.as_ref()) {
                    Joined::Live(meanwhile) => {
                        return self
                            .send_meanwhile(channel, position, &meanwhile, takes_deltas)
                            .await;
                    }
                    Joined::Behind => {}
                    // It was ended while the reply was on its way, so the client must hear of it.
                    Joined::Gone => return self.start_over(channel).await,
                },
                Rest::InEpoch => {}
                Rest::InOlderEpochs => return self.start_over(channel).await,
            }
            self.link.drained().await;
            let Some(since) = position.take() else {
                return self.start_over(channel).await;
            };
            match self.read_page(channel, &options, since).await {
                Ok(Some(page)) => {
                    for publication in &page.publications {
                        let frame = match takes_deltas {
                            true => wire.publication_for_deltas(channel, publication, None),
                            false => wire.publication(channel, publication),
                        };
                        self.link.send_past(frame);
                    }
                    (position, rest) = (Some(page.position), page.rest);
                }
                _ => return self.start_over(channel).await,
            }
        }
    }

    async fn read_page(
        &self,
        channel: &ChannelName,
        options: &ChannelOptions,
        since: StreamPosition,
    ) -> Result<Option<RecoveredPage>, ClientError> {
        let (app, channel, options) = (Arc::clone(&self.app), channel.clone(), options.clone());
        let since = Since { epoch: since.epoch.as_str().to_owned(), offset: since.offset };
        let read = async move { app.recovery.missed(&channel, &options, &since).await };
        self.beside(read).await?.map_err(client_error_of_store)
    }

    /// Sends what was kept while the past was read, but for what the past held already.
    async fn send_meanwhile(
        &mut self,
        channel: &ChannelName,
        position: Option<StreamPosition>,
        meanwhile: &[Arc<Broadcast>],
        takes_deltas: bool,
    ) {
        let wire = self.link.wire();
        for broadcast in meanwhile {
            let delivery = &broadcast.delivery;
            match (&position, &delivery.epoch) {
                (Some(position), Some(epoch)) if position.epoch != *epoch => {
                    return self.start_over(channel).await;
                }
                (Some(position), Some(_)) if delivery.publication.offset <= position.offset => {}
                _ => self.link.send_past(broadcast.frame_of(wire, takes_deltas).clone()),
            }
        }
    }

    /// The client's state cannot be brought up to date from here: it is told to
    /// subscribe again, or to connect again where the server subscribed it.
    async fn start_over(&mut self, channel: &ChannelName) {
        let server_side = self.identity.as_ref().is_some_and(|i| i.server_side.contains(channel));
        if server_side {
            return self.link.close(Disconnect::INSUFFICIENT_STATE);
        }
        self.leave(channel).await;
        self.link.send(self.link.wire().unsubscribe(channel, Unsubscribed::INSUFFICIENT_STATE));
    }

    pub(super) async fn leave(&mut self, channel: &ChannelName) {
        self.link.unsubscribe(channel);
        self.disappear(channel).await;
        self.forget_past_terms(channel);
    }

    /// Forgets on what terms a channel was subscribed to that is not any more; a subscription that ended by itself
    /// left them.
    fn forget_past_terms(&mut self, channel: &ChannelName) {
        if let Some(identity) = &mut self.identity {
            identity.channel_infos.remove(channel);
            identity.server_side.retain(|joined| joined != channel);
        }
    }
}

/// Whether a subscription takes deltas: where the client asks for it and the channel has them.
fn takes_deltas(request: &SubscribeRequest, options: &ChannelOptions) -> Result<bool, ClientError> {
    match request.delta.as_str() {
        "" => Ok(false),
        "fossil" => Ok(options.allows_fossil_deltas),
        _ => Err(ClientError::BAD_REQUEST),
    }
}
