//! What a client leaves behind in channels, and has to be undone however it goes: its place in the presence, and that
//! others were told of its coming.

use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::session::Session;
use crate::client_protocol::codes::ClientError;
use crate::domain::channel::ChannelName;
use crate::domain::ids::ClientId;
use crate::domain::namespace::ChannelOptions;
use crate::domain::publication::{ClientInfo, Passage, PassageKind};
use crate::endpoints::reply::client_error_of_store;
use crate::endpoints::request::App;
use crate::hub::Ended;

/// The traces of a session. What changes them is done beside the session, one step after the other, so that nothing
/// is undone before it was done, even if the session ends meanwhile.
#[derive(Default)]
pub(super) struct Traces {
    channels: Vec<Trace>,
    /// The last of the steps.
    last: Option<JoinHandle<()>>,
}

/// The trace in one channel.
struct Trace {
    channel: ChannelName,
    /// Whether the client stands in the presence.
    present: bool,
    /// Whether others are told that it comes and goes.
    tells: bool,
    /// What they were told of it; others are not told of the going of one that never came.
    told: Option<ClientInfo>,
}

impl Traces {
    /// Takes a step once all before it are done; the answer says what came of it.
    fn then<T: Send + 'static>(
        &mut self,
        io: &Handle,
        step: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (sender, outcome) = oneshot::channel();
        let before = self.last.take();
        self.last = Some(io.spawn(async move {
            if let Some(before) = before {
                // Whatever became of it, it is over.
                let _ = before.await;
            }
            // Whoever asked may have gone.
            let _ = sender.send(step.await);
        }));
        outcome
    }

    /// The trace in a channel, made by the channel's options if there is none.
    fn trace(&mut self, channel: &ChannelName, options: &ChannelOptions) -> &mut Trace {
        let place = self.channels.iter().position(|trace| trace.channel == *channel);
        let place = place.unwrap_or_else(|| {
            let channel = channel.clone();
            self.channels.push(Trace { channel, present: false, tells: false, told: None });
            self.channels.len() - 1
        });
        let trace = &mut self.channels[place];
        trace.present |= options.presence;
        trace.tells = options.join_leave;
        trace
    }

    /// Undoes the trace in a channel; `None` if there is none.
    fn undo(
        &mut self,
        app: &App,
        client: ClientId,
        channel: &ChannelName,
    ) -> Option<oneshot::Receiver<()>> {
        let place = self.channels.iter().position(|trace| trace.channel == *channel)?;
        let trace = self.channels.swap_remove(place);
        Some(self.then(&app.io, trace.undone(Arc::clone(app), client)))
    }
}

impl Trace {
    /// Takes the client out of the presence, and tells of its going afterwards.
    async fn undone(self, app: App, client: ClientId) {
        let Self { channel, present, told, .. } = self;
        if present && let Err(error) = app.presence.remove(&channel, client).await {
            tracing::warn!(%error, %channel, "could not remove a client from the presence");
        }
        if let Some(info) = told {
            tell(&app, Passage { channel, kind: PassageKind::Leave, info }).await;
        }
    }
}

async fn tell(app: &App, passage: Passage) {
    if let Err(error) = app.broker.announce(&passage).await {
        let (channel, kind) = (&passage.channel, passage.kind);
        tracing::warn!(%error, %channel, ?kind, "could not tell who comes and goes");
    }
}

impl Session {
    /// Enters the presence of a channel, where it has one.
    pub(super) async fn appear(
        &mut self,
        channel: &ChannelName,
        options: &ChannelOptions,
    ) -> Result<(), ClientError> {
        if !options.presence && !options.join_leave {
            return Ok(());
        }
        let info = self.info_in(channel);
        let added = {
            let traces = &mut *self.traces.get_or_insert_default().borrow_mut();
            // Noted first, so that a session that ends meanwhile is removed again.
            if !traces.trace(channel, options).present {
                return Ok(());
            }
            let (app, channel, client) = (Arc::clone(&self.app), channel.clone(), self.client);
            let add = async move { app.presence.add(&channel, client, &info).await };
            traces.then(&self.app.io, add)
        };
        added.await.map_err(|_| ClientError::INTERNAL)?.map_err(client_error_of_store)
    }

    /// Tells others that the client has come, where they are told; once, however often it subscribes again.
    pub(super) async fn tell_of_coming(&mut self, channel: &ChannelName) {
        let Some(traces) = self.traces.as_ref().filter(|_| self.link.is_subscribed(channel)) else {
            return;
        };
        let info = self.info_in(channel);
        let told = {
            let traces = &mut *traces.borrow_mut();
            let trace = traces.channels.iter_mut().find(|trace| trace.channel == *channel);
            let Some(trace) = trace.filter(|trace| trace.tells && trace.told.is_none()) else {
                return;
            };
            trace.told = Some(info.clone());
            let app = Arc::clone(&self.app);
            let passage = Passage { channel: channel.clone(), kind: PassageKind::Join, info };
            traces.then(&self.app.io, async move { tell(&app, passage).await })
        };
        // What this client does next is told after it; a step that failed has logged so.
        let _ = told.await;
    }

    /// Undoes what the client left behind in a channel.
    pub(super) async fn disappear(&mut self, channel: &ChannelName) {
        let Some(traces) = &self.traces else { return };
        let undone = traces.borrow_mut().undo(&self.app, self.client, channel);
        if let Some(undone) = undone {
            // A step that failed has logged so.
            let _ = undone.await;
        }
    }

    /// What undoes it once the subscription expires: the session itself hears nothing of that.
    pub(super) fn disappears(&self, channel: &ChannelName) -> Option<Ended> {
        let traces = Rc::clone(self.traces.as_ref()?);
        let (app, channel, client) = (Arc::clone(&self.app), channel.clone(), self.client);
        Some(Box::new(move || drop(traces.borrow_mut().undo(&app, client, &channel))))
    }
}

impl Drop for Session {
    /// However a session ends, it leaves no trace.
    fn drop(&mut self) {
        let Some(traces) = self.traces.take() else { return };
        let traces = &mut *traces.borrow_mut();
        let (app, client) = (Arc::clone(&self.app), self.client);
        let all = std::mem::take(&mut traces.channels);
        if all.is_empty() {
            return;
        }
        drop(traces.then(&self.app.io, async move {
            for trace in all {
                trace.undone(Arc::clone(&app), client).await;
            }
        }));
    }
}
