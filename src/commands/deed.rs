//! A deed: who does something, and under which event.

use crate::domain::account::User;
use crate::domain::event::{Actor, Event, Fact};
use crate::domain::ids::{EventId, UserId};
use crate::domain::time::Timestamp;

/// Who does something, when, and the id of the event that will tell of it. The
/// id is kept through every retry of the request.
#[derive(Clone, Debug)]
pub struct Deed {
    /// Who does it.
    pub user: User,
    /// The id of the event.
    pub event: EventId,
    /// When it is decided.
    pub now: Timestamp,
}

impl Deed {
    /// The number of who does it.
    pub fn actor(&self) -> UserId {
        self.user.id
    }

    /// The event that tells of it.
    pub fn event(&self, fact: Fact) -> Event {
        let actor = Actor { id: self.user.id, username: self.user.username.clone() };
        Event { id: self.event, actor: Some(actor), time: self.now, fact }
    }
}
