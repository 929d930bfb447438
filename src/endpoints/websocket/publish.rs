//! The publish command. Those that a client said together are carried out together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::session::Session;
use crate::admission::permissions::Action;
use crate::client_protocol::codes::ClientError;
use crate::client_protocol::command::PublishRequest;
use crate::client_protocol::reply::{Empty, ReplyBody};
use crate::commands::publish::{Prepared, Publishing};
use crate::domain::event::Actor;
use crate::domain::publication::PublishOptions;
use crate::endpoints::reply::client_error_of;

/// How many publish commands wait together at most.
const TOGETHER_MAX: usize = 64;

/// What came of a publish command so far.
enum Said {
    Answered(Result<(), ClientError>),
    /// It is to be waited for, with others.
    Waiting,
}

impl Session {
    /// Carries out a publish command and those that were said right after it. Nothing is waited for if nothing of them has
    /// to be; else they wait once for all. Each has its answer, in their order, and one that is refused holds up no other.
    pub(super) async fn publish(&mut self, id: u32, request: PublishRequest) {
        let first = match self.prepare(request) {
            Ok(prepared) if self.app.publish.now(&prepared).is_none() => prepared,
            outcome => return self.tell(id, outcome.map(drop)),
        };
        let (mut said, mut waiting) = (vec![(id, Said::Waiting)], vec![first]);
        while said.len() < TOGETHER_MAX
            && let Some((id, request)) = self.next_publish()
        {
            // Not at once, even if it could be: what was said before it is not done.
            said.push(match self.prepare(request) {
                Ok(prepared) => {
                    waiting.push(prepared);
                    (id, Said::Waiting)
                }
                Err(error) => (id, Said::Answered(Err(error))),
            });
        }
        let app = Arc::clone(&self.app);
        let outcomes = self.beside(async move { app.publish.together(waiting).await }).await;
        let failure = outcomes.as_ref().err().copied();
        let mut outcomes = outcomes.unwrap_or_default().into_iter();
        for (id, said) in said {
            let outcome = match (said, failure) {
                (Said::Answered(outcome), _) => outcome,
                (Said::Waiting, Some(error)) => Err(error),
                (Said::Waiting, None) => match outcomes.next() {
                    Some(outcome) => outcome.map_err(|problem| client_error_of(&problem)),
                    None => Err(ClientError::INTERNAL),
                },
            };
            self.tell(id, outcome);
        }
    }

    /// Checks a publish command, and prepares what it asks.
    fn prepare(&self, request: PublishRequest) -> Result<Prepared, ClientError> {
        let channel = self.channel(&request.channel)?;
        self.permit(&channel, Action::Publish)?;
        if request.data.holds_nul() {
            return Err(ClientError::BAD_REQUEST);
        }
        let info = self.info_in(&channel);
        let publishing = Publishing {
            channels: vec![channel],
            data: request.data,
            tags: BTreeMap::new(),
            info: Some(info),
            actor: self.user().map(|user| Actor { id: user.id, username: user.username.clone() }),
            options: PublishOptions::default(),
        };
        Ok(self.app.publish.prepare(publishing, self.app.mint.event()))
    }

    fn tell(&self, id: u32, outcome: Result<(), ClientError>) {
        self.reply(
            id,
            match outcome {
                Ok(()) => ReplyBody::Publish(Empty {}),
                Err(error) => ReplyBody::Error(error),
            },
        );
    }
}
