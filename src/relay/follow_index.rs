//! The follow index: which users on this node hear of which authors.
//!
//! A post costs no write per follower. The node itself subscribes to the
//! channels of the authors whom its connected users follow, and tells their
//! sockets; the inbox lists the post when it is read.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
use crate::ports::inbox::Inbox;
use crate::ports::marks::Marks;

/// Inboxes that are read at once.
const CHUNK: usize = 256;

/// Deliveries that may wait for the index; the node's deliveries wait beyond that.
const QUEUE_MAX: usize = 1_024;

/// Tells users of posts by authors whom they follow.
pub struct FollowIndex {
    hub: Arc<Hub>,
    namespaces: Arc<Namespaces>,
    marks: Arc<dyn Marks>,
    inbox: Arc<dyn Inbox>,
    followers: Mutex<Followers>,
    queue: mpsc::Sender<Delivery>,
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
    /// Counts what was heard of this user's follows, so that a list that was
    /// read meanwhile is known to be old.
    heard: u64,
}

/// What nodes tell each other on `node:follows`.
#[derive(Deserialize)]
struct Told {
    r#type: String,
    actor: Option<crate::domain::event::Actor>,
    user: Option<UserId>,
}

impl FollowIndex {
    /// An index for the sockets of `hub`, and the queue that [`FollowIndex::run`] serves.
    pub fn new(
        hub: Arc<Hub>,
        namespaces: Arc<Namespaces>,
        marks: Arc<dyn Marks>,
        inbox: Arc<dyn Inbox>,
    ) -> (Arc<Self>, mpsc::Receiver<Delivery>) {
        let (queue, deliveries) = mpsc::channel(QUEUE_MAX);
        let followers = Mutex::default();
        (Arc::new(Self { hub, namespaces, marks, inbox, followers, queue }), deliveries)
    }

    /// Begins to hear of changes on all nodes. When it returns, none is missed.
    pub async fn listen(&self) -> Result<(), StoreError> {
        self.join(&ChannelName::follows()).await
    }

    /// Tells followers, beside the deliveries to everyone else: it reads inboxes.
    pub async fn run(self: Arc<Self>, mut deliveries: mpsc::Receiver<Delivery>) {
        while let Some(delivery) = deliveries.recv().await {
            let outcome = match delivery.channel.namespace() {
                Some("author") => self.tell_followers(&delivery).await,
                _ => self.heed(&delivery).await,
            };
            if let Err(error) = outcome {
                let channel = &delivery.channel;
                tracing::warn!(%error, %channel, "followers were not told; their inbox has it");
            }
        }
    }

    /// Takes note of what arrived on a channel that the node itself may be subscribed to.
    pub async fn hear(&self, delivery: &Delivery) {
        if matches!(delivery.channel.namespace(), Some("author" | "node")) {
            // The receiver ends only with the node.
            let _ = self.queue.send(delivery.clone()).await;
        }
    }

    /// Counts one connection of a user. When it returns, the user is told of
    /// every post that is published from now on.
    pub async fn arrive(&self, user: UserId) -> Result<(), StoreError> {
        let first = {
            let mut followers = self.lock();
            let local = followers.users.entry(user).or_default();
            local.connections += 1;
            local.connections == 1
        };
        if !first {
            return Ok(());
        }
        let read = self.read_follows(user).await;
        if read.is_err() {
            self.depart(user);
        }
        read
    }

    /// Takes one connection of a user back.
    pub fn depart(&self, user: UserId) {
        let mut followers = self.lock();
        let Some(local) = followers.users.get_mut(&user) else { return };
        local.connections -= 1;
        if local.connections > 0 {
            return;
        }
        let authors = followers.users.remove(&user).unwrap_or_default().authors;
        let abandoned = authors.into_iter().filter(|author| followers.remove(user, *author));
        let abandoned: Vec<_> = abandoned.collect();
        drop(followers);
        for author in abandoned {
            self.leave(author);
        }
    }

    async fn read_follows(&self, user: UserId) -> Result<(), StoreError> {
        loop {
            let heard = self.lock().users.get(&user).map(|local| local.heard);
            let authors = self.marks.followed_by(user).await?;
            let Some(new) = self.lock().add_all(user, authors, heard) else { continue };
            for author in new {
                self.join(&ChannelName::author(author)).await?;
            }
            return Ok(());
        }
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
    /// Nothing happens if it was noted before, or if the user is not connected here.
    pub async fn note(
        &self,
        user: UserId,
        author: UserId,
        follows: bool,
    ) -> Result<(), StoreError> {
        let changed = self.lock().change(user, author, follows);
        match (changed, follows) {
            (true, true) => self.join(&ChannelName::author(author)).await?,
            (true, false) => self.leave(author),
            (false, _) => {}
        }
        Ok(())
    }

    /// Tells the connected followers of an author what happened to a post.
    async fn tell_followers(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let author = delivery.channel.as_str().split_once(':').and_then(|(_, id)| id.parse().ok());
        let (Some(author), Some(event)) = (author.map(UserId), delivery.publication.event) else {
            return Ok(());
        };
        let followers: Vec<_> = {
            let followers = self.lock();
            followers.by_author.get(&author).into_iter().flatten().copied().collect()
        };
        for chunk in followers.chunks(CHUNK) {
            let wanted: Vec<_> = chunk.iter().map(|user| (*user, event)).collect();
            let items = self.inbox.items(&wanted).await?;
            let states = self.inbox.states(chunk).await?;
            for user in chunk {
                let state = states.get(user).copied().unwrap_or_default();
                let body = match items.get(&(*user, event)) {
                    Some(item) => announcement::posted_body(item, state),
                    // It was edited or removed: the number of unread items may be another.
                    None => announcement::recounted_body(&delivery.publication.body, event, state),
                };
                let publication = Publication { offset: 0, event: Some(event), body };
                let channel = ChannelName::inbox(*user);
                self.hub.deliver(Delivery { channel, epoch: None, publication }).await;
            }
        }
        Ok(())
    }

    async fn join(&self, channel: &ChannelName) -> Result<(), StoreError> {
        let registry = self.hub.registry();
        registry.enter(channel, registry.node());
        let retention = self.namespaces.options(channel).and_then(Retention::of);
        registry.confirm(channel, retention).await
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

impl Followers {
    /// Notes whom a connected user follows; returns those authors who have their first follower here
    /// now. `None` if more was heard of the user's follows than when the authors were read.
    fn add_all(
        &mut self,
        user: UserId,
        authors: Vec<UserId>,
        heard: Option<u64>,
    ) -> Option<Vec<UserId>> {
        match self.users.get(&user) {
            Some(local) if Some(local.heard) != heard => None,
            Some(_) => Some(authors.into_iter().filter(|author| self.add(user, *author)).collect()),
            None => Some(Vec::new()),
        }
    }

    /// Notes that a connected user follows an author or no longer does; true if
    /// the author is the first one's here, or nobody's any more.
    fn change(&mut self, user: UserId, author: UserId, follows: bool) -> bool {
        let Some(local) = self.users.get_mut(&user) else { return false };
        local.heard += 1;
        if follows {
            return self.add(user, author);
        }
        local.authors.remove(&author) && self.remove(user, author)
    }

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
