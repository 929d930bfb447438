//! Two nodes whose users write without a pause, subscribers on both, and the verdict when the writing is over: whatever
//! became of Redis meanwhile, everything that was acknowledged arrived, and everything that is counted is right.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{
    Api, Databases, Follower, Heard, Person, Places, Server, Start, id, until, until_ok,
};

/// Between two writes of one writer.
const PACE: Duration = Duration::from_millis(30);
/// How long one write may take, whatever Redis does. It bounds a failure: the machine may be busy.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// How long after the last write it may take until everything has arrived and is counted.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);

/// Two nodes, people who write, and subscribers.
pub(super) struct Stage {
    pub(super) nodes: [Server; 2],
    author: Person,
    fans: Vec<Person>,
    /// The post that the fans like.
    pub(super) target: String,
    pub(super) followers: Vec<Follower>,
}

/// Who writes, until it is stopped.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    writers: JoinSet<Written>,
}

/// What was acknowledged.
#[derive(Default)]
pub(super) struct Written {
    posts: Vec<String>,
    /// How often somebody liked the target, and took that back.
    likes: HashMap<(i64, &'static str), usize>,
    slowest: Duration,
}

impl Stage {
    /// Starts nodes on `databases`, with two subscribers each: one who wrote the target and hears who likes it in the
    /// own inbox, too, and one who did not.
    pub(super) async fn set(databases: &Databases) -> Self {
        let start = || Start::on(databases).run();
        let (one, other) = tokio::join!(start(), start());
        let nodes = [one, other];
        let api = nodes[0].api();
        let author = api.person("author").await;
        let mut fans = Vec::new();
        for _ in 0..3 {
            fans.push(api.person("fan").await);
        }
        let target = id(&api.publish(&author, "Target").await).to_owned();
        let (places, channel) = (Arc::<Places>::default(), format!("post:{target}"));
        let mut followers = Vec::new();
        for node in &nodes {
            for person in [&author, &fans[0]] {
                let channels = ["feed:all", channel.as_str()];
                let follower = Follower::start(node.address(), &person.token, &channels, &places);
                followers.push(follower.await);
            }
        }
        Self { nodes, author, fans, target, followers }
    }

    /// Begins to write, on both nodes.
    pub(super) fn write(&self) -> Traffic {
        let (stop, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut writers = JoinSet::new();
        let apis = self.nodes.each_ref().map(Server::api);
        let writer = |apis| Writer {
            apis,
            stop: Arc::clone(&stop),
            acknowledged: Arc::clone(&acknowledged),
            written: Written::default(),
        };
        for api in &apis {
            let writer = writer([api.clone(), api.clone()]);
            writers.spawn(writer.publish(self.author.clone()));
        }
        for fan in &self.fans {
            writers.spawn(writer(apis.clone()).like(fan.clone(), self.target.clone()));
        }
        Traffic { stop, acknowledged, writers }
    }

    /// Waits until every subscriber has heard `count` posts more.
    pub(super) async fn heard_more(&self, count: usize) {
        let heard = |follower: &Follower| follower.heard().events("feed:all").len();
        let before: Vec<_> = self.followers.iter().map(heard).collect();
        until(SETTLE_PATIENCE, &format!("{count} more posts everywhere"), async || {
            let mut now = self.followers.iter().map(heard).zip(&before);
            now.all(|(now, before)| now >= before + count).then_some(())
        })
        .await;
    }

    /// Everything that was written arrives everywhere, no place means two events, and all counts are right.
    pub(super) async fn judge(&self, written: &Written) {
        assert!(written.slowest < WRITE_PATIENCE, "a write took {:?}", written.slowest);
        let channel = format!("post:{}", self.target);
        for (n, follower) in self.followers.iter().enumerate() {
            let what = format!("everything to arrive at subscriber {n}");
            until_ok(SETTLE_PATIENCE, &what, async || {
                let missing = self.missing(written, &follower.heard());
                if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
            })
            .await;
            let heard = follower.heard();
            assert_eq!(heard.faults, Vec::<String>::new(), "subscriber {n}, told {:?}", heard.told);
            // The last one that came tells how it is.
            let last = heard.publications[&channel].last().expect("likes were told");
            assert_eq!(last["counts"]["likes"], json!(self.fans.len()), "subscriber {n}: {last}");
        }
        for node in &self.nodes {
            let post = node.api().read_post(&self.author, &self.target).await;
            assert_eq!(post["counts"]["likes"], json!(self.fans.len()));
            self.judge_trending(&node.api()).await;
        }
    }

    /// What was acknowledged and did not arrive, or arrived otherwise.
    fn missing(&self, written: &Written, heard: &Heard) -> Vec<String> {
        let published = heard.events("feed:all");
        let published: HashSet<_> =
            published.iter().map(|data| id(&data["post"]).to_owned()).collect();
        let posts = written.posts.iter().filter(|post| !published.contains(*post));
        let mut missing: Vec<_> = posts.map(|post| format!("post {post}")).collect();
        let mut likes = HashMap::new();
        for data in heard.events(&format!("post:{}", self.target)) {
            let actor = data["actor"]["id"].as_i64().unwrap_or(0);
            *likes.entry((actor, data["type"].as_str().unwrap_or("").to_owned())).or_insert(0) += 1;
        }
        for ((fan, kind), count) in &written.likes {
            let heard = likes.get(&(*fan, (*kind).to_owned())).copied().unwrap_or(0);
            if heard != *count {
                missing.push(format!("{kind} by {fan}: {heard} of {count}"));
            }
        }
        missing
    }

    async fn judge_trending(&self, api: &Api) {
        let wanted = json!(self.fans.len());
        until_ok(SETTLE_PATIENCE, &format!("{wanted} likes in the trending list"), async || {
            let answer = api.get("/v1/trending?window=1h&explain=true").send().await;
            let items = answer.expect(200)["items"].as_array().expect("a list has items");
            let item = items.iter().find(|item| item["post_id"] == json!(self.target));
            let item = item.cloned().unwrap_or_default();
            if item["explain"]["likes"]["count"] == wanted { Ok(()) } else { Err(item) }
        })
        .await;
    }
}

impl Traffic {
    /// Waits until `count` writes more were acknowledged.
    pub(super) async fn acknowledged_more(&self, count: usize) {
        let before = self.acknowledged.load(Ordering::Relaxed);
        until(SETTLE_PATIENCE, &format!("{count} more writes"), async || {
            (self.acknowledged.load(Ordering::Relaxed) >= before + count).then_some(())
        })
        .await;
    }

    /// Ends the writing: what was written. A write that was not acknowledged fails the test.
    pub(super) async fn stop(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Written::default();
        for written in self.writers.join_all().await {
            all.posts.extend(written.posts);
            all.likes.extend(written.likes);
            all.slowest = all.slowest.max(written.slowest);
        }
        eprintln!(
            "{} posts, {} likes and unlikes, the slowest in {:?}",
            all.posts.len(),
            all.likes.values().sum::<usize>(),
            all.slowest
        );
        all
    }
}

/// One who writes, now here and now there.
struct Writer {
    apis: [Api; 2],
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    written: Written,
}

impl Writer {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Takes note of a write that was acknowledged.
    async fn acknowledge(&mut self, began: Instant) {
        self.written.slowest = self.written.slowest.max(began.elapsed());
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PACE).await;
    }

    async fn publish(mut self, author: Person) -> Written {
        for n in 0.. {
            let began = Instant::now();
            let post = self.apis[0].publish(&author, &format!("Post {n}")).await;
            self.written.posts.push(id(&post).to_owned());
            self.acknowledge(began).await;
            if !self.goes_on() {
                break;
            }
        }
        self.written
    }

    /// Likes a post, takes it back, and likes it in the end.
    async fn like(mut self, fan: Person, post: String) -> Written {
        loop {
            let began = Instant::now();
            let answer = self.apis[0].like(&fan, &post).await;
            assert_eq!(answer["liked"], json!(true));
            *self.written.likes.entry((fan.id, "post.liked")).or_default() += 1;
            self.acknowledge(began).await;
            if !self.goes_on() {
                return self.written;
            }
            let began = Instant::now();
            let answer = self.apis[1].unlike(&fan, &post).await;
            assert_eq!(answer["liked"], json!(false));
            *self.written.likes.entry((fan.id, "post.unliked")).or_default() += 1;
            self.acknowledge(began).await;
        }
    }
}
