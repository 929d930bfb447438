//! What follows a change of an account that was made through this node: nothing older is believed any
//! more, here at once and elsewhere as soon as it is heard of.

use std::sync::Arc;
use std::time::Duration;

use super::cached_sessions::CachedSessions;
use super::known_changes::KnownChanges;
use crate::domain::account::SignedIn;
use crate::domain::channel::ChannelName;
use crate::domain::publication::{Json, PublicationBody};
use crate::ports::StoreError;
use crate::ports::broker::{Broker, Outgoing};

/// How long an answer waits until the news is out. The numbered changes are what counts; every node reads them anyway.
const PATIENCE: Duration = Duration::from_millis(250);

/// Spreads the news.
pub struct AccountNews {
    /// What this node believes.
    pub known: Arc<KnownChanges>,
    /// What all nodes share, if anything.
    pub sessions: Option<Arc<CachedSessions>>,
    /// How other nodes hear that there is something to read.
    pub broker: Arc<dyn Broker>,
}

impl AccountNews {
    /// The account of `caller` was changed; told before their sockets are closed, so that nobody who connects
    /// meanwhile is taken for signed in.
    pub async fn changed(&self, caller: &SignedIn) {
        self.known.expect(caller.user.id);
        let (sessions, broker) = (self.sessions.clone(), Arc::clone(&self.broker));
        let token = caller.session.token;
        let spread = tokio::spawn(async move {
            if let Some(sessions) = sessions {
                sessions.forget(&token).await;
            }
            if let Err(error) = tell(&*broker).await {
                tracing::debug!(%error, "other nodes will read of a change in their own time");
            }
        });
        // It goes on beyond this, if it has to.
        let _ = tokio::time::timeout(PATIENCE, spread).await;
    }
}

/// Tells all nodes to look for changes.
async fn tell(broker: &dyn Broker) -> Result<(), StoreError> {
    let data = Json::from_value(&serde_json::json!({}));
    let data = data.expect("an empty object is JSON");
    let body = PublicationBody { data, info: None, tags: [].into(), delta: false };
    let outgoing = Outgoing {
        channel: ChannelName::accounts(),
        event: None,
        body: Arc::new(body),
        retention: None,
        version: None,
    };
    broker.publish(&[outgoing]).await.map(drop)
}
