//! What the tests are written with: a server process, databases for several, an HTTP client, a
//! socket client, a proxy that can be cut, scripts.

mod api;
mod cut;
mod databases;
mod feed;
mod follower;
mod node;
mod raw;
mod redis_process;
mod redis_wire;
mod server;
mod skip;
mod socket;
mod wait;

pub(crate) use api::{Answer, Api, Ask, Person, id, plain_http, unique};
pub(crate) use cut::Cut;
pub(crate) use databases::{Databases, on_servers};
pub(crate) use feed::{event_id, pages, title, titles};
pub(crate) use follower::{Follower, Heard, Places};
pub(crate) use node::{Script, installed, python};
pub(crate) use raw::{Raw, upgrade_request};
pub(crate) use redis_process::RedisProcess;
pub(crate) use redis_wire::RedisWire;
pub(crate) use server::{API_KEY, Server, Start};
pub(crate) use skip::{has_program, skipped};
pub(crate) use socket::{Closed, Position, Socket};
pub(crate) use wait::{PATIENCE, until, until_ok, within};
