//! The follow index: which users on this node hear of which authors.
//!
//! A post costs no write per follower. The node itself subscribes to the
//! channels of the authors whom its connected users follow, and tells their
//! sockets; the inbox lists the post when it is read.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::domain::announcement;
use crate::domain::channel::ChannelName;
use crate::domain::ids::UserId;
use crate::domain::namespace::Namespaces;
use crate::domain::publication::{Delivery, Publication};
use crate::hub::Hub;
use crate::ports::StoreError;
use crate::ports::broker::Retention;
use crate::ports::clock::Clock;
use crate::ports::inbox::Inbox;
use crate::ports::marks::Marks;

/// Inboxes that are read at once.
const CHUNK: usize = 256;

/// Channels that the broker is asked for at the same time.
const CONFIRMED_AT_ONCE: usize = 16;
/// Deliveries of each kind that may wait for the index.
const QUEUE_MAX: usize = 1_024;

/// Tells users of posts by authors whom they follow.
pub struct FollowIndex {
    hub: Arc<Hub>,
    namespaces: Arc<Namespaces>,
    marks: Arc<dyn Marks>,
    inbox: Arc<dyn Inbox>,
    clock: Arc<dyn Clock>,
    followers: Mutex<Followers>,
    posts: mpsc::Sender<Delivery>,
    turns: mpsc::Sender<Delivery>,
}

/// What the node heard, waiting for the index.
pub struct Heard {
    /// On the channels of authors.
    posts: mpsc::Receiver<Delivery>,
    /// Who follows whom, or no longer does.
    turns: mpsc::Receiver<Delivery>,
}

/// Who is connected here, and whom they follow.
#[derive(Default)]
struct Followers {
    users: HashMap<UserId, Local>,
    by_author: HashMap<UserId, HashSet<UserId>>,
}

#[derive(Default)]
struct Local {
    connections: usize,
    authors: HashSet<UserId>,
    /// Whether `authors` are all of them, and the broker delivers their channels here.
    known: bool,
    /// Counts what was heard of this user's follows, so that a list that was
    /// read meanwhile is known to be old.
    heard: u64,
}

/// One connection of a user, counted until this is dropped.
pub struct Presence {
    index: Arc<FollowIndex>,
    user: UserId,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.index.depart(self.user);
    }
}

/// What nodes tell each other on `node:follows`.
#[derive(Deserialize)]
struct Told {
    r#type: String,
    actor: Option<crate::domain::event::Actor>,
    user: Option<UserId>,
}

impl FollowIndex {
    /// An index for the sockets of `hub`, and the queues that [`FollowIndex::run`] serves.
    pub fn new(
        hub: Arc<Hub>,
        namespaces: Arc<Namespaces>,
        marks: Arc<dyn Marks>,
        inbox: Arc<dyn Inbox>,
        clock: Arc<dyn Clock>,
    ) -> (Arc<Self>, Heard) {
        let (posts, heard_posts) = mpsc::channel(QUEUE_MAX);
        let (turns, heard_turns) = mpsc::channel(QUEUE_MAX);
        let followers = Mutex::default();
        let index = Self { hub, namespaces, marks, inbox, clock, followers, posts, turns };
        (Arc::new(index), Heard { posts: heard_posts, turns: heard_turns })
    }

    /// Begins to hear of changes on all nodes. When it returns, none is missed.
    pub async fn listen(&self) -> Result<(), StoreError> {
        let channel = ChannelName::follows();
        self.hub.registry().enter(&channel, self.hub.registry().node());
        self.confirm(&channel).await
    }

    /// Tells followers, beside the deliveries to everyone else: it reads inboxes.
    pub async fn run(self: Arc<Self>, heard: Heard) {
        let Heard { mut posts, mut turns } = heard;
        let follows = async {
            while let Some(delivery) = turns.recv().await {
                if let Err(error) = self.heed(&delivery).await {
                    tracing::warn!(%error, "a follow is heard of at the next connect only");
                }
            }
        };
        let tell = async {
            while let Some(delivery) = posts.recv().await {
                if let Err(error) = self.tell_followers(&delivery).await {
                    let channel = &delivery.channel;
                    tracing::warn!(%error, %channel, "followers were not told; their inbox has it");
                }
            }
        };
        tokio::join!(follows, tell);
    }

    /// Takes note of what arrived on a channel that the node itself may be subscribed to. A post
    /// never waits: it is in the inbox of those who are not told in time.
    pub async fn hear(&self, delivery: &Delivery) {
        match delivery.channel.namespace() {
            // The receiver ends only with the node.
            Some("node") => drop(self.turns.send(delivery.clone()).await),
            Some("author")
                if self.has_followers(delivery)
                    && self.posts.try_send(delivery.clone()).is_err() =>
            {
                let channel = &delivery.channel;
                tracing::warn!(%channel, "more posts than followers can be told of");
            }
            _ => {}
        }
    }

    /// Counts one connection of a user until the returned presence is dropped. From then on the user is
    /// told of every post that is published.
    pub async fn arrive(self: Arc<Self>, user: UserId) -> Result<Presence, StoreError> {
        self.lock().users.entry(user).or_default().connections += 1;
        // Dropped on every way out, whoever waited for this may be gone.
        let presence = Presence { index: Arc::clone(&self), user };
        loop {
            let heard = match self.lock().users.get(&user) {
                Some(local) if local.known => return Ok(presence),
                Some(local) => local.heard,
                None => return Ok(presence),
            };
            let authors = self.marks.followed_by(user).await?;
            if !self.enter_all(user, &authors, heard) {
                continue;
            }
            self.confirm_all(authors).await?;
            if let Some(local) = self.lock().users.get_mut(&user) {
                local.known = local.heard == heard;
            }
        }
    }

    /// Takes one connection of a user back.
    fn depart(&self, user: UserId) {
        let mut followers = self.lock();
        let Some(local) = followers.users.get_mut(&user) else { return };
        local.connections -= 1;
        if local.connections > 0 {
            return;
        }
        for author in followers.users.remove(&user).unwrap_or_default().authors {
            if followers.remove(user, author) {
                self.leave(author);
            }
        }
    }

    /// Notes whom a connected user follows; false if more was heard of the
    /// user's follows than when the authors were read.
    fn enter_all(&self, user: UserId, authors: &[UserId], heard: u64) -> bool {
        let mut followers = self.lock();
        if followers.users.get(&user).is_some_and(|local| local.heard != heard) {
            return false;
        }
        for author in authors {
            if followers.add(user, *author) {
                self.enter(*author);
            }
        }
        true
    }

    /// Waits until the broker delivers the channels of authors here.
    async fn confirm_all(&self, authors: Vec<UserId>) -> Result<(), StoreError> {
        let confirm = |author| async move { self.confirm(&ChannelName::author(author)).await };
        let confirmed = stream::iter(authors).map(confirm);
        confirmed.buffer_unordered(CONFIRMED_AT_ONCE).try_collect().await
    }

    fn has_followers(&self, delivery: &Delivery) -> bool {
        author_of(delivery).is_some_and(|author| self.lock().by_author.contains_key(&author))
    }

    /// Someone follows another, or no longer does.
    async fn heed(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let told = serde_json::from_str::<Told>(delivery.publication.body.data.get());
        let Ok(Told { r#type, actor: Some(actor), user: Some(author) }) = told else {
            tracing::warn!("what a node told of follows cannot be read");
            return Ok(());
        };
        self.note(actor.id, author, r#type == "user.followed").await
    }

    /// Takes note that a user follows an author from now on, or no longer does.
    /// Nothing happens if the user is not connected here.
    pub async fn note(
        &self,
        user: UserId,
        author: UserId,
        follows: bool,
    ) -> Result<(), StoreError> {
        {
            let mut followers = self.lock();
            let Some(local) = followers.users.get_mut(&user) else { return Ok(()) };
            local.heard += 1;
            if !follows {
                if local.authors.remove(&author) && followers.remove(user, author) {
                    self.leave(author);
                }
                return Ok(());
            }
            if followers.add(user, author) {
                self.enter(author);
            }
        }
        self.confirm(&ChannelName::author(author)).await
    }

    /// Tells the connected followers of an author what happened to a post.
    async fn tell_followers(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let told = delivery.publication.body.tags.get("type").map(String::as_str);
        let is_new = match told {
            Some("post.published") => true,
            // It may be listed no more, or again: the number of unread items may be another.
            Some("post.updated" | "post.removed") => false,
            _ => return Ok(()),
        };
        let (Some(author), Some(event)) = (author_of(delivery), delivery.publication.event) else {
            return Ok(());
        };
        let followers: Vec<_> = {
            let followers = self.lock();
            followers.by_author.get(&author).into_iter().flatten().copied().collect()
        };
        for chunk in followers.chunks(CHUNK) {
            let wanted: Vec<_> = chunk.iter().map(|user| (*user, event)).collect();
            let items = if is_new { self.inbox.items(&wanted).await? } else { HashMap::new() };
            let states = self.inbox.states(chunk).await?;
            for user in chunk {
                let state = states.get(user).copied().unwrap_or_default();
                let body = match items.get(&(*user, event)) {
                    Some(item) => announcement::posted_body(item, state),
                    // The user does not want to be told of posts.
                    None if is_new => continue,
                    None => announcement::recounted_body(event, self.clock.now(), state),
                };
                let publication = Publication { offset: 0, event: Some(event), body };
                let channel = ChannelName::inbox(*user);
                self.hub.deliver(Delivery { channel, epoch: None, publication }).await;
            }
        }
        Ok(())
    }

    async fn confirm(&self, channel: &ChannelName) -> Result<(), StoreError> {
        let retention = self.namespaces.options(channel).and_then(Retention::of);
        self.hub.registry().confirm(channel, retention).await
    }

    /// Counts the node among the subscribers of an author. Called with the followers locked, so that it
    /// is in step with who follows; so is [`FollowIndex::leave`].
    fn enter(&self, author: UserId) {
        let registry = self.hub.registry();
        registry.enter(&ChannelName::author(author), registry.node());
    }

    fn leave(&self, author: UserId) {
        let registry = self.hub.registry();
        registry.leave(ChannelName::author(author), registry.node());
    }

    fn lock(&self) -> MutexGuard<'_, Followers> {
        // Nothing that holds the lock can fail half way.
        self.followers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The author whose channel a delivery came on.
fn author_of(delivery: &Delivery) -> Option<UserId> {
    let (_, id) = delivery.channel.as_str().split_once(':')?;
    id.parse().ok().map(UserId)
}

impl Followers {
    /// Notes that a connected user follows an author; true if the author is the first one's here.
    fn add(&mut self, user: UserId, author: UserId) -> bool {
        let Some(local) = self.users.get_mut(&user) else { return false };
        local.authors.insert(author);
        let followers = self.by_author.entry(author).or_default();
        followers.insert(user) && followers.len() == 1
    }

    /// Takes that back; true if nobody here follows the author any more.
    fn remove(&mut self, user: UserId, author: UserId) -> bool {
        let Some(followers) = self.by_author.get_mut(&author) else { return false };
        followers.remove(&user);
        let last = followers.is_empty();
        if last {
            self.by_author.remove(&author);
        }
        last
    }
}
