//! Commands about a channel that change no subscription, but publish: history, presence.

use std::sync::Arc;

use super::session::Session;
use crate::admission::permissions::Action;
use crate::client_protocol::codes::ClientError;
use crate::client_protocol::command::HistoryRequest;
use crate::client_protocol::reply::{
    HistoryResult, PresenceResult, PresenceStatsResult, ReplyBody, WirePublication,
};
use crate::endpoints::reply::client_error_of_store;
use crate::ports::broker::{HistoryQuery, Retention};

impl Session {
    pub(super) async fn history(
        &self,
        id: u32,
        request: HistoryRequest,
    ) -> Result<(), ClientError> {
        let channel = self.channel(&request.channel)?;
        let options = self.permit(&channel, Action::ReadHistory)?;
        let retention = Retention::of(&options).ok_or(ClientError::NOT_AVAILABLE)?;
        let max = self.app.limits.history_max;
        let limit = usize::try_from(request.limit).map_or(max, |limit| limit.min(max));
        let since = request.since.as_ref().map(|since| since.offset);
        let query = HistoryQuery { since, limit, reverse: request.reverse };
        let app = Arc::clone(&self.app);
        let page =
            self.beside(async move { app.broker.history(&channel, retention, &query).await });
        let page = page.await?.map_err(client_error_of_store)?;
        let epoch = request.since.map(|since| since.epoch).filter(|epoch| !epoch.is_empty());
        if epoch.is_some_and(|epoch| epoch != page.top.epoch.as_str()) {
            return Err(ClientError::UNRECOVERABLE_POSITION);
        }
        let fitting = self.app.recovery.limit.fitting(&page.publications);
        let publications = page.publications[..fitting].iter().map(WirePublication::from).collect();
        let result = HistoryResult { publications, epoch: page.top.epoch, offset: page.top.offset };
        self.reply(id, ReplyBody::History(result));
        Ok(())
    }

    pub(super) async fn presence(&self, id: u32, name: &str) -> Result<(), ClientError> {
        let channel = self.channel(name)?;
        self.permit(&channel, Action::ReadPresence)?;
        let app = Arc::clone(&self.app);
        let clients = self.beside(async move { app.presence.list(&channel).await });
        let clients = clients.await?.map_err(client_error_of_store)?;
        let presence = clients.into_iter().map(|info| (info.client.clone(), info)).collect();
        self.reply(id, ReplyBody::Presence(PresenceResult { presence }));
        Ok(())
    }

    pub(super) async fn presence_stats(&self, id: u32, name: &str) -> Result<(), ClientError> {
        let channel = self.channel(name)?;
        self.permit(&channel, Action::ReadPresence)?;
        let app = Arc::clone(&self.app);
        let stats = self.beside(async move { app.presence.stats(&channel).await });
        let stats = stats.await?.map_err(client_error_of_store)?;
        let result = PresenceStatsResult { num_clients: stats.clients, num_users: stats.users };
        self.reply(id, ReplyBody::PresenceStats(result));
        Ok(())
    }
}
