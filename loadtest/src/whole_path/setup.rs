//! What must be there before the first write: accounts with sessions, posts, and sockets with their subscriptions.

use crate::connection::{Connection, Target};
use crate::whole_path::Options;
use crate::whole_path::http::{self, Credential, Node};
use crate::whole_path::ledger::{Audience, Kind};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::thread;

/// Everybody may read the same posts; this one is told of all of them.
pub const FEED: &str = "feed:all";
const PASSWORD: &str = "whole path load";
/// A post's text, about as long as a short article's first paragraph.
const TEXT: &str = "Every write walks the same way: admitted, decided, appended to the log, relayed, and sent to who \
    watches. This paragraph stands in for what somebody had to say about it, long enough to be cut to an excerpt, and \
    short enough not to be what is measured.";

/// An account with an open session.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id in the hub.
    pub id: i64,
    /// Its session token.
    pub token: String,
}

/// Registers the accounts and logs them in, each at one of the nodes, all nodes at the same time: passwords are hashed twice
/// for each, which is what takes long.
///
/// # Errors
/// When a node refuses one.
pub fn accounts(nodes: &[Node], run: &str, count: usize) -> Result<Vec<Account>> {
    let share = |first: usize| -> Result<Vec<(usize, Account)>> {
        let node = &nodes[first];
        let mut stream = node.connect()?;
        let mut accounts = Vec::new();
        for number in (first..count).step_by(nodes.len()) {
            let name = format!("wp{run}-{number}");
            let person = json!({"email": format!("{name}@example.org"), "username": name, "password": PASSWORD});
            http::ask(&mut stream, node, "/v1/users", Credential::None, &person)?;
            let login = json!({"login": name, "password": PASSWORD});
            let session = http::ask(&mut stream, node, "/v1/sessions", Credential::None, &login)?;
            let token = session["token"].as_str().context("a session has a token")?.to_owned();
            let id = session["user"]["id"].as_i64().context("a user has an id")?;
            accounts.push((number, Account { id, token }));
        }
        Ok(accounts)
    };
    let mut accounts = at_each_node(nodes.len(), share)?;
    accounts.sort_by_key(|(number, _)| *number);
    Ok(accounts.into_iter().map(|(_, account)| account).collect())
}

/// Publishes the posts that will be liked and commented on, post `p` by account `p % accounts`; returns their ids.
///
/// # Errors
/// When a node refuses one.
pub fn posts(nodes: &[Node], run: &str, accounts: &[Account], count: usize) -> Result<Vec<String>> {
    let mut streams: Vec<_> = nodes.iter().map(Node::connect).collect::<Result<_>>()?;
    (0..count)
        .map(|number| {
            let at = number % nodes.len();
            let who = Credential::Bearer(&accounts[number % accounts.len()].token);
            let body = post(&format!("Hot post {number} of run {run}"));
            let post = http::ask(&mut streams[at], &nodes[at], "/v1/posts", who, &body)?;
            Ok(post["id"].as_str().context("a post has an id")?.to_owned())
        })
        .collect()
}

/// The body that publishes a post.
pub fn post(title: &str) -> Value {
    json!({"title": title, "content": TEXT, "tags": ["load"]})
}

/// Where a socket is, whose it is, and what it subscribes to besides the inbox, which the hub subscribes it to.
#[derive(Debug, PartialEq, Eq)]
pub struct Seat {
    /// The node.
    pub node: usize,
    /// The account.
    pub account: usize,
    /// Those that look at the feed.
    pub reads_feed: bool,
    /// The post and the room of the others.
    pub post: usize,
    /// The room.
    pub room: usize,
}

/// The seats: neighbours are at different nodes, an account's sockets are spread over all, and of each two rounds of nodes
/// one reads the feed while the other watches a post and a room.
pub fn seats(options: &Options) -> Vec<Seat> {
    let nodes = options.node.len();
    let seats = (0..options.users).map(|user| {
        let watcher = user / (2 * nodes);
        Seat {
            node: user % nodes,
            account: user * options.accounts / options.users,
            reads_feed: (user / nodes).is_multiple_of(2),
            post: watcher % options.hot_posts,
            room: watcher % options.rooms,
        }
    });
    seats.collect()
}

/// The names of channels.
pub struct Channels {
    /// Of the posts.
    pub posts: Vec<String>,
    /// Of the rooms.
    pub rooms: Vec<String>,
    /// Of the accounts' inboxes.
    pub inboxes: Vec<String>,
}

impl Channels {
    /// Of these posts and accounts.
    pub fn new(options: &Options, run: &str, posts: &[String], accounts: &[Account]) -> Self {
        let rooms = (0..options.rooms).map(|room| format!("{}:{run}-{room}", options.namespace));
        Self {
            posts: posts.iter().map(|id| format!("post:{id}")).collect(),
            rooms: rooms.collect(),
            inboxes: accounts.iter().map(|a| format!("notifications:#{}", a.id)).collect(),
        }
    }

    /// What a socket subscribes to.
    fn of(&self, seat: &Seat) -> Vec<&str> {
        if seat.reads_feed {
            vec![FEED]
        } else {
            vec![&self.posts[seat.post], &self.rooms[seat.room]]
        }
    }

    /// Who hears what.
    pub fn audiences(&self, seats: &[Seat]) -> Vec<(String, Audience)> {
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, seat) in seats.iter().enumerate() {
            members.entry(&self.inboxes[seat.account]).or_default().push(index);
            for channel in self.of(seat) {
                members.entry(channel).or_default().push(index);
            }
        }
        let kind = |channel: &str| match channel.split_once(':') {
            Some(("feed", _)) => Kind::Feed,
            Some(("notifications", _)) => Kind::Inbox,
            Some(("post", _)) => {
                let number = self.posts.iter().position(|post| post == channel);
                Kind::Post(number.expect("only posts of this run are watched"))
            }
            _ => Kind::Room,
        };
        let audiences = members.into_iter().map(|(channel, members)| {
            (channel.to_owned(), Audience::new(kind(channel), seats.len(), &members))
        });
        audiences.collect()
    }
}

/// Connects and subscribes every seat, all nodes at the same time.
///
/// # Errors
/// When a node refuses one.
pub fn sockets(
    options: &Options,
    nodes: &[Node],
    seats: &[Seat],
    channels: &Channels,
    accounts: &[Account],
) -> Result<Vec<Connection>> {
    let share = |node: usize| -> Result<Vec<(usize, Connection)>> {
        let url = nodes[node].websocket();
        let seated = seats.iter().enumerate().filter(|(_, seat)| seat.node == node);
        let connect = |(index, seat): (usize, &Seat)| {
            let token = accounts[seat.account].token.clone();
            let target = Target::parse(&url, Some(token))?;
            let mut connection = Connection::establish(&target, index, options.source_addresses)?;
            for channel in channels.of(seat) {
                connection.subscribe(channel)?;
            }
            Ok((index, connection))
        };
        seated.map(connect).collect()
    };
    let mut connections = at_each_node(nodes.len(), share)?;
    connections.sort_by_key(|(index, _)| *index);
    Ok(connections.into_iter().map(|(_, connection)| connection).collect())
}

/// Does the shares of all nodes at the same time.
fn at_each_node<T: Send>(
    nodes: usize,
    share: impl Fn(usize) -> Result<Vec<T>> + Sync,
) -> Result<Vec<T>> {
    let share = &share;
    let shares: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..nodes).map(|node| scope.spawn(move || share(node))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<_>>()
    })?;
    Ok(shares.into_iter().flatten().collect())
}
