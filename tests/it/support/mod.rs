//! What the tests are written with: a server process, an HTTP client, a socket client, a proxy that can be cut, scripts.

mod api;
mod cut;
mod feed;
mod node;
mod raw;
mod server;
mod skip;
mod socket;
mod wait;

pub(crate) use api::{Answer, Api, Ask, Person, id, unique};
pub(crate) use cut::Cut;
pub(crate) use feed::{event_id, pages, title, titles};
pub(crate) use node::{Script, installed};
pub(crate) use raw::{Raw, upgrade_request};
pub(crate) use server::{API_KEY, Server, Start};
pub(crate) use skip::{has_program, skipped};
pub(crate) use socket::{Closed, Position, Socket};
pub(crate) use wait::{PATIENCE, until, within};
