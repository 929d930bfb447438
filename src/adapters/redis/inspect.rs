//! How a Redis, or each master of a cluster, is, as an operator sees it. This file uses `redis`; that a message comes
//! through Pub/Sub is found out with `fred`, as the broker would.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{Cmd, InfoDict, RedisError, Value, cmd, from_redis_value};

use crate::adapters::soundings::{ROUND_TRIPS, Soundings, numbers, time};
use crate::ports::StoreError;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::inspection::{Finding, Inspect, Inspection, SchemaState};

use super::broker::round_trip;
use super::commands::{Connection, failed};
use super::options::RedisOptions;

/// From this part of the memory on, in percent, it is worth a warning.
const MEMORY_SHARE: u64 = 80;

/// Looks at the Redis at a URL.
pub struct RedisInspector {
    options: RedisOptions,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// The answers to one question, by the address of the server; that of a Redis alone is empty.
type Answers = BTreeMap<String, Value>;

impl RedisInspector {
    /// For the Redis that nodes reach with `options`; `clock` is that of this machine.
    pub fn new(options: RedisOptions, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { options, clock, entropy }
    }

    async fn look(&self) -> Result<Inspection, StoreError> {
        let connection = Connection::open(&self.options).await?;
        let soundings = self.sound(&connection).await.map_err(|error| failed(&error))?;
        let infos = ask(&connection, cmd("INFO")).await.map_err(|error| failed(&error))?;
        let infos: BTreeMap<_, _> = infos.into_iter().map(|(at, info)| (at, read(info))).collect();
        // CONFIG may be kept from whoever asks; what it says of saving is then unknown.
        let saves = ask(&connection, config("save")).await.unwrap_or_default();
        let mut findings = Vec::new();
        for (address, info) in &infos {
            let mut own = Server(info).findings(saves.get(address));
            if !address.is_empty() {
                own.iter_mut().for_each(|it| it.detail = format!("{address}: {}", it.detail));
            }
            findings.extend(own);
        }
        let first = infos.values().next().cloned().unwrap_or_else(|| InfoDict::new(""));
        findings.extend(self.mode(&first, infos.len()));
        let (product, version) = product(&first);
        let (major, _) = numbers(&version);
        if major < 7 {
            let detail = "scripts need Redis 7 (`#!lua`), as do shards of Pub/Sub";
            findings.push(Finding::fault("version", detail));
        }
        let latency = soundings.iter().map(Soundings::latency).max();
        let ahead = soundings.iter().filter_map(Soundings::clock_ahead_ms);
        Ok(Inspection {
            is_tested: product == "Redis" && major == 7,
            product,
            version,
            latency: latency.unwrap_or_default(),
            clock_ahead_ms: ahead.max_by_key(|ahead| ahead.unsigned_abs()),
            schema: SchemaState::Unneeded,
            findings,
        })
    }

    /// Round trips to each server.
    async fn sound(&self, connection: &Connection) -> Result<Vec<Soundings>, RedisError> {
        let mut soundings: BTreeMap<String, Soundings> = BTreeMap::new();
        ask(connection, cmd("PING")).await?;
        for _ in 0..ROUND_TRIPS {
            let trip = Soundings::new(Arc::clone(&self.clock)).begin();
            for (address, now) in ask(connection, cmd("TIME")).await? {
                let (seconds, micros): (i64, i64) = from_redis_value(now)?;
                let of = || Soundings::new(Arc::clone(&self.clock));
                let now = seconds.saturating_mul(1_000).saturating_add(micros / 1_000);
                soundings.entry(address).or_insert_with(of).end(&trip, time(now));
            }
        }
        Ok(soundings.into_values().collect())
    }

    /// Whether the server is what the URL says: one Redis, or a cluster.
    fn mode(&self, info: &InfoDict, masters: usize) -> Option<Finding> {
        let is_cluster = info.get::<u8>("cluster_enabled") == Some(1);
        Some(match (is_cluster, self.options.is_cluster()) {
            (true, true) => Finding::note("cluster", format!("{masters} masters answer")),
            (true, false) => Finding::fault(
                "cluster",
                "the server is part of a cluster: its URL must begin with redis-cluster:// or rediss-cluster://",
            ),
            (false, true) => {
                Finding::fault("cluster", "the URL names a cluster, and the server is none")
            }
            (false, false) => Finding::note("cluster", "one Redis, no cluster"),
        })
    }

    async fn pub_sub(&self) -> Finding {
        let name = self.entropy.bytes::<8>().map(|byte| format!("{byte:02x}")).concat();
        match round_trip(&self.options, &name).await {
            Ok(took) => {
                let millis = took.as_secs_f64() * 1e3;
                Finding::note("Pub/Sub", format!("a message came back after {millis:.1} ms"))
            }
            Err(error) => Finding::fault("Pub/Sub", error.to_string()),
        }
    }
}

#[async_trait]
impl Inspect for RedisInspector {
    fn is_embedded(&self) -> bool {
        false
    }

    async fn inspect(&self) -> Result<Inspection, StoreError> {
        let mut inspection = self.look().await?;
        inspection.findings.push(self.pub_sub().await);
        Ok(inspection)
    }

    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        let connection = Connection::open(&self.options).await?;
        ask(&connection, cmd("PING")).await.map_err(|error| failed(&error))?;
        Ok(Vec::new())
    }
}

/// Asks the Redis, or each master of the cluster.
async fn ask(connection: &Connection, question: Cmd) -> Result<Answers, RedisError> {
    match connection {
        Connection::One(one) => {
            let answer = question.query_async(&mut one.clone()).await?;
            Ok([(String::new(), answer)].into())
        }
        Connection::Cluster(all) => {
            let masters = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
            from_redis_value(all.clone().route_command(question, masters).await?)
                .map_err(RedisError::from)
        }
    }
}

fn config(setting: &str) -> Cmd {
    let mut question = cmd("CONFIG");
    question.arg("GET").arg(setting);
    question
}

fn read(info: Value) -> InfoDict {
    from_redis_value(info).unwrap_or_else(|_| InfoDict::new(""))
}

/// What answers, for there are servers that do as Redis does.
fn product(info: &InfoDict) -> (String, String) {
    match info.get::<String>("valkey_version") {
        Some(version) => ("Valkey".to_owned(), version),
        None => ("Redis".to_owned(), info.get("redis_version").unwrap_or_default()),
    }
}

/// What one server says of itself.
struct Server<'a>(&'a InfoDict);

impl Server<'_> {
    fn text(&self, name: &str) -> String {
        self.0.get(name).unwrap_or_default()
    }

    fn findings(&self, saves: Option<&Value>) -> Vec<Finding> {
        let mut findings = vec![self.eviction(), self.memory(), self.persistence(saves)];
        findings.push(match self.text("role").as_str() {
            "master" => {
                let replicas = self.text("connected_slaves");
                Finding::note("role", format!("master with {replicas} replicas"))
            }
            _ => Finding::fault("role", "a replica, which takes no writes"),
        });
        findings
    }

    fn eviction(&self) -> Finding {
        match self.text("maxmemory_policy").as_str() {
            "noeviction" => Finding::note("eviction", "noeviction"),
            other => Finding::warning(
                "eviction",
                format!(
                    "{other}, not noeviction: histories and counters vanish when memory is short"
                ),
            ),
        }
    }

    fn memory(&self) -> Finding {
        let number = |name| self.0.get::<u64>(name).unwrap_or_default();
        let (used, most) = (number("used_memory"), number("maxmemory"));
        let mib = |bytes: u64| bytes / (1024 * 1024);
        match most {
            0 => Finding::note("memory", format!("{} MiB used, no limit (maxmemory)", mib(used))),
            _ => {
                let said = format!("{} of {} MiB used (maxmemory)", mib(used), mib(most));
                match used.saturating_mul(100) / most {
                    ..MEMORY_SHARE => Finding::note("memory", said),
                    _ => Finding::warning("memory", said),
                }
            }
        }
    }

    fn persistence(&self, saves: Option<&Value>) -> Finding {
        let appends = self.0.get::<u8>("aof_enabled") == Some(1);
        let failed = |name| self.0.get::<String>(name).is_some_and(|status| status != "ok");
        if failed("rdb_last_bgsave_status") || (appends && failed("aof_last_write_status")) {
            return Finding::warning("persistence", "the last attempt to write to disk failed");
        }
        let saves: Option<BTreeMap<String, String>> =
            saves.and_then(|saves| from_redis_value(saves.clone()).ok());
        let saves = saves.and_then(|saves| saves.get("save").map(|rule| !rule.is_empty()));
        let detail = match (appends, saves) {
            (true, _) => "every write is appended to a file",
            (false, Some(true)) => {
                "snapshots only: a crash takes what came after the last one, and the log brings it back"
            }
            (false, Some(false)) => "none: after a restart, everything is made again from the log",
            (false, None) => {
                "nothing is appended to a file; whether there are snapshots cannot be asked"
            }
        };
        Finding::note("persistence", detail)
    }
}
