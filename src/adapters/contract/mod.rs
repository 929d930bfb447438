//! What every adapter of a port is held to: one function a promise, each of
//! which takes a factory of fresh, empty adapters. A module's macro makes a test
//! of each function for the factory of an adapter.

pub mod absent;
pub mod account_control;
pub mod accounts;
pub mod analytics;
pub mod audit_analytics;
pub mod audit_content;
pub mod audit_log;
pub mod audit_trending;
pub mod broker;
pub mod broker_versions;
pub mod comments;
pub mod community;
pub mod content;
pub mod event_log;
pub mod idempotency;
pub mod inbox;
pub mod inbox_lists;
pub mod inspection;
pub mod marks;
pub mod model;
pub mod post_lists;
pub mod presence;
pub mod rate_limits;
pub mod relay_ledger;
pub mod runs;
pub mod session_cache;
pub mod skip;
pub mod sql_servers;
pub mod trending;
pub mod wire;

use std::any::Any;
use std::future::Future;
use std::sync::Arc;

use crate::domain::channel::ChannelName;
use crate::domain::event::{Actor, BarePublication, Event, Fact, LoggedEvent};
use crate::domain::ids::{EventId, Incarnation, PostId, UserId};
use crate::domain::post::{Author, Post, PostCounts, PostStatus};
use crate::domain::publication::{ClientInfo, Delivery, Json, PublishOptions, Version};
use crate::domain::time::Timestamp;
use crate::ports::broker::Arriving;
use crate::ports::event_log::{EventLog, LogCursor, RelayLedger};
use crate::ports::idempotency::IdempotencyKeys;
use crate::ports::runs::Runs;

/// The publication that arrived.
pub fn published(arriving: Arriving) -> Delivery {
    match arriving {
        Arriving::Publication(delivery) => delivery,
        Arriving::Passage(passage) => panic!("nobody comes or goes here, but {passage:?}"),
    }
}

/// How many callers race.
const RACERS: u8 = 16;

/// An adapter under test, and what has to outlive it (a directory, a container).
pub struct Subject<P: ?Sized> {
    /// The adapter.
    pub port: Arc<P>,
    /// What has to outlive it.
    pub keep: Box<dyn Any + Send>,
}

/// The four ports that share one store.
pub struct Log {
    /// The events.
    pub events: Arc<dyn EventLog>,
    /// Their relays.
    pub ledger: Arc<dyn RelayLedger>,
    /// The runs that they belong to.
    pub runs: Arc<dyn Runs>,
    /// The keys of the requests that lead to them.
    pub keys: Arc<dyn IdempotencyKeys>,
    /// What has to outlive them.
    #[expect(dead_code, reason = "it is there to be dropped last")]
    pub keep: Box<dyn Any + Send>,
}

/// Makes a test of each function of a contract for one factory.
macro_rules! contract_tests {
    ($contract:path, $factory:expr, [$($promise:ident),* $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                use $contract as contract;
                let name = concat!(module_path!(), "::", stringify!($promise));
                let test = contract::$promise($factory);
                $crate::adapters::contract::skip::unless_skipped(name, test).await;
            }
        )*
    };
}
pub(crate) use contract_tests;

/// Runs `attempt` in as many tasks as race, and returns what each came to.
pub(crate) async fn race<T, F>(attempt: impl Fn(u8) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..RACERS).map(|n| tokio::spawn(attempt(n))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

pub(crate) fn event_id(n: u16) -> EventId {
    EventId::from_parts(at(i64::from(n)), [7; 10])
}

pub(crate) fn incarnation(n: u8) -> Incarnation {
    Incarnation::from_parts(at(0), [n; 10])
}

pub(crate) fn cursor(run: u8, seq: u64) -> LogCursor {
    LogCursor { incarnation: incarnation(run), seq }
}

fn actor() -> Actor {
    Actor { id: UserId(42), username: "ada".into() }
}

/// A bare publication, decided `n` milliseconds after the beginning, with all that one can carry.
pub(crate) fn publication(n: u16) -> Event {
    let json = |text: &str| Json::from_string(text.into()).unwrap();
    Event {
        id: event_id(n),
        actor: (n % 2 == 1).then(actor),
        time: at(i64::from(n)),
        fact: Fact::ChannelPublished(BarePublication {
            channels: vec![ChannelName::feed(), ChannelName::tag("rust")],
            // Spaces, a trailing zero and an escape tell whether a text is kept as it came.
            data: json(&format!("{{ \"n\": {n}.50, \"s\": \"\\u00e9\\\"\\\\ 'x' 🦀\" }}")),
            tags: [("k".to_owned(), "v".to_owned())].into(),
            info: Some(ClientInfo {
                user: "42".into(),
                client: "c".into(),
                conn_info: Some(Arc::new(json("{\"a\":1}"))),
                chan_info: None,
            }),
            options: PublishOptions {
                skip_history: true,
                delta: true,
                version: Some(Version { number: n.into(), epoch: "'v'".into() }),
            },
        }),
    }
}

pub(crate) fn logged(run: u8, seq: u64, event: Event) -> LoggedEvent {
    LoggedEvent { incarnation: incarnation(run), seq, event }
}

pub(crate) fn post_id(n: u8) -> PostId {
    PostId::from_parts(at(i64::from(n) * 1000), u32::from(n), [n; 3])
}

pub(crate) fn post(n: u8) -> Post {
    Post {
        id: post_id(n),
        slug: format!("post-{n}"),
        title: format!("Post {n}"),
        content: "It's \"quoted\" \\ and\nlong".into(),
        excerpt: "It's".into(),
        tags: vec!["rust".into(), "sql".into()],
        categories: vec!["Databases".into()],
        difficulty: None,
        status: PostStatus::Published,
        author: Author { id: UserId(42), username: "ada".into(), display_name: "Ada".into() },
        counts: PostCounts::default(),
        reading_minutes: 1,
        metadata: Some(Json::from_string("{ \"x\": 1.0 }".into()).unwrap()),
        version: 1,
        created_at: at(i64::from(n) * 1000),
        updated_at: at(i64::from(n) * 1000),
        published_at: Some(at(i64::from(n) * 1000)),
    }
}

/// The event that tells of a post, decided `n` milliseconds after the beginning.
pub(crate) fn posted(n: u16, post: &Post) -> Event {
    let fact = match post.status {
        PostStatus::Draft => Fact::PostDrafted(Box::new(post.clone())),
        _ => Fact::PostPublished(Box::new(post.clone())),
    };
    Event { id: event_id(n), actor: Some(actor()), time: at(i64::from(n)), fact }
}
