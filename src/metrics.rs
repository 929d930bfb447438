//! What the node counts, for operators: one handle for each part of the node, and all of them in the text format of
//! Prometheus. Handles are cheap to clone, and a clone counts to the same numbers.

mod exposition;
mod hub;

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::domain::time::Timestamp;

pub use hub::HubSample;

/// What every name begins with.
const PREFIX: &str = "carillon";

/// What everything that was counted is encoded as.
pub const CONTENT_TYPE: &str = exposition::CONTENT_TYPE;

/// From a tenth of a millisecond to about thirteen seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 18))
}

/// From one to 512, the largest batch by default.
fn events() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 10))
}

fn u64_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The answers to requests.
#[derive(Clone)]
pub struct HttpMetrics {
    requests: Family<HttpLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HttpLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        let durations = Family::new_with_constructor(seconds as fn() -> Histogram);
        Self { requests: Family::default(), durations }
    }
}

impl HttpMetrics {
    /// Counts an answer. `route` is the template of the path, never the path: there are few of the one and no end of
    /// the other.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        // Anyone may invent methods as well.
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let method = known.into_iter().find(|known| *known == method).unwrap_or("OTHER");
        let labels = RouteLabels { method, route: route.to_owned() };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        let labels = HttpLabels { method, route: labels.route, status };
        self.requests.get_or_create(&labels).inc();
    }

    fn register(&self, to: &mut Registry) {
        let help = "Requests that were answered, by the template of their path";
        to.register("http_requests", help, self.requests.clone());
        let help = "How long answers took to begin, in seconds";
        to.register("http_request_duration_seconds", help, self.durations.clone());
    }
}

/// Who was kept out.
#[derive(Clone, Default)]
pub struct AdmissionMetrics {
    limited: Family<PolicyLabels, Counter>,
    failed_logins: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabels {
    policy: &'static str,
}

impl AdmissionMetrics {
    /// Counts a request that a rate limit refused.
    pub fn rate_limited(&self, policy: &'static str) {
        self.limited.get_or_create(&PolicyLabels { policy }).inc();
    }

    /// Counts a login with a wrong password or of nobody.
    pub fn login_failed(&self) {
        self.failed_logins.inc();
    }

    fn register(&self, to: &mut Registry) {
        let help = "Requests that were refused by a rate limit, by its policy";
        to.register("rate_limited_requests", help, self.limited.clone());
        let help = "Logins that were refused for what they gave as login and password";
        to.register("failed_logins", help, self.failed_logins.clone());
    }
}

/// What clients say on their connections.
#[derive(Clone, Default)]
pub struct ClientMetrics {
    sent: Counter,
}

impl ClientMetrics {
    /// Counts a message of a client that asks for no reply.
    pub fn sent(&self) {
        self.sent.inc();
    }

    fn register(&self, to: &mut Registry) {
        let help = "Messages of clients by the command send, which nothing here takes";
        to.register("client_messages", help, self.sent.clone());
    }
}

/// The way into the event log.
#[derive(Clone)]
pub struct CommitMetrics {
    commits: Counter,
    events: Counter,
    batches: Histogram,
    appends: Histogram,
    retries: Counter,
    waiting: Gauge,
    refused: Counter,
}

impl Default for CommitMetrics {
    fn default() -> Self {
        Self {
            commits: Counter::default(),
            events: Counter::default(),
            batches: events(),
            appends: seconds(),
            retries: Counter::default(),
            waiting: Gauge::default(),
            refused: Counter::default(),
        }
    }
}

impl CommitMetrics {
    /// Counts an event that is about to wait for its batch.
    pub fn queued(&self) {
        self.waiting.inc();
    }

    /// Counts an event that waits no more, because its batch begins or because there was no room for it.
    pub fn unqueued(&self) {
        self.waiting.dec();
    }

    /// Counts an event for which there was no room.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// Counts a batch that the log did not take.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// Counts a batch that the log has, after all attempts that it took.
    pub fn committed(&self, events: usize, took: Duration) {
        self.commits.inc();
        self.events.inc_by(u64_of(events));
        self.batches.observe(events as f64);
        self.appends.observe(took.as_secs_f64());
    }

    fn register(&self, to: &mut Registry) {
        to.register("commits", "Batches that the event log has", self.commits.clone());
        to.register("committed_events", "Events that the event log has", self.events.clone());
        to.register("commit_batch_events", "Events in one batch", self.batches.clone());
        let help = "How long the event log took for a batch, retries included, in seconds";
        to.register("append_duration_seconds", help, self.appends.clone());
        let help = "Attempts at a batch that the event log did not take";
        to.register("append_failures", help, self.retries.clone());
        let help = "Events that wait for their batch to begin";
        to.register("commit_queue_events", help, self.waiting.clone());
        let help = "Events that were refused because too many waited, or too many bytes";
        to.register("commit_queue_refused_events", help, self.refused.clone());
    }
}

/// The way from the event log to the broker.
#[derive(Clone, Default)]
pub struct RelayMetrics {
    events: Counter,
    reread: Counter,
    lag: Gauge<f64, std::sync::atomic::AtomicU64>,
}

impl RelayMetrics {
    /// Counts events that the broker has, `lag` after the last of them was decided.
    pub fn relayed(&self, events: usize, lag: Duration) {
        self.events.inc_by(u64_of(events));
        self.lag.set(lag.as_secs_f64());
    }

    /// Counts events that were read from the log because the queue had no room for them.
    pub fn reread(&self, events: usize) {
        self.reread.inc_by(u64_of(events));
    }

    fn register(&self, to: &mut Registry) {
        to.register("relayed_events", "Events that the broker has", self.events.clone());
        let help = "Events that the relay read from the log because its queue was full";
        to.register("relay_queue_overflow_events", help, self.reread.clone());
        let help = "How old the last event was when the broker had it, in seconds";
        to.register("relay_lag_seconds", help, self.lag.clone());
    }
}

/// The way from the event log into the analytics.
#[derive(Clone, Default)]
pub struct ProjectionMetrics {
    events: Counter,
    set_aside: Counter,
}

impl ProjectionMetrics {
    /// Counts events that the analytics have.
    pub fn projected(&self, events: usize) {
        self.events.inc_by(u64_of(events));
    }

    /// Counts an event that the analytics could not take.
    pub fn set_aside(&self) {
        self.set_aside.inc();
    }

    fn register(&self, to: &mut Registry) {
        to.register("projected_events", "Events that the analytics have", self.events.clone());
        let help = "Events that the analytics could not take and that were set aside";
        to.register("set_aside_events", help, self.set_aside.clone());
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// Everything that the node counts.
#[allow(missing_docs, reason = "each field is the part of the node of its name")]
pub struct Metrics {
    pub http: HttpMetrics,
    pub admission: AdmissionMetrics,
    pub clients: ClientMetrics,
    pub commit: CommitMetrics,
    pub relay: RelayMetrics,
    pub projection: ProjectionMetrics,
    registry: Registry,
}

impl Metrics {
    /// Nothing counted yet, by a node of this version that began at `started`.
    pub fn new(version: &'static str, started: Timestamp) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let http = HttpMetrics::default();
        let admission = AdmissionMetrics::default();
        let clients = ClientMetrics::default();
        let commit = CommitMetrics::default();
        let relay = RelayMetrics::default();
        let projection = ProjectionMetrics::default();
        http.register(&mut registry);
        admission.register(&mut registry);
        clients.register(&mut registry);
        commit.register(&mut registry);
        relay.register(&mut registry);
        projection.register(&mut registry);

        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version }).set(1);
        registry.register("build_info", "1, with what runs as labels", build);
        let began = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
        began.set(started.as_millis() as f64 / 1e3);
        let help = "When the process started, in seconds since the Unix epoch";
        registry.register("process_start_time_seconds", help, began);
        Self { http, admission, clients, commit, relay, projection, registry }
    }

    /// All of it as text, with what the hub says of itself now.
    ///
    /// # Errors
    /// Only if a text cannot be written to memory.
    pub fn render(&self, hub: &HubSample) -> Result<String, std::fmt::Error> {
        exposition::render(&[&self.registry, &hub.registry()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_under_its_name() {
        let metrics = Metrics::new("1.2.3", Timestamp::from_millis(1_700_000_000_500));
        let millis = Duration::from_millis;
        metrics.http.answered("GET", "/v1/posts/{id}", 200, millis(2));
        metrics.http.answered("BREW", "/v1/posts/{id}", 405, millis(2));
        metrics.admission.rate_limited("writes");
        metrics.admission.login_failed();
        metrics.clients.sent();
        metrics.commit.queued();
        metrics.commit.queued();
        metrics.commit.unqueued();
        metrics.commit.committed(3, millis(1));
        metrics.commit.retried();
        metrics.commit.refused();
        metrics.relay.relayed(2, millis(250));
        metrics.relay.reread(1);
        metrics.projection.projected(4);
        metrics.projection.set_aside();
        let hub = HubSample { connections: 5, closes: [(3008, 6)].into(), ..HubSample::default() };
        let text = metrics.render(&hub).unwrap();
        for line in [
            "carillon_http_requests_total{method=\"GET\",route=\"/v1/posts/{id}\",status=\"200\"} 1",
            "carillon_http_requests_total{method=\"OTHER\",route=\"/v1/posts/{id}\",status=\"405\"} 1",
            "carillon_http_request_duration_seconds_count{method=\"GET\",route=\"/v1/posts/{id}\"} 1",
            "carillon_rate_limited_requests_total{policy=\"writes\"} 1",
            "carillon_failed_logins_total 1",
            "carillon_client_messages_total 1",
            "carillon_commits_total 1",
            "carillon_committed_events_total 3",
            "carillon_commit_batch_events_sum 3.0",
            "carillon_append_duration_seconds_count 1",
            "carillon_append_failures_total 1",
            "carillon_commit_queue_events 1",
            "carillon_commit_queue_refused_events_total 1",
            "carillon_relayed_events_total 2",
            "carillon_relay_queue_overflow_events_total 1",
            "carillon_relay_lag_seconds 0.25",
            "carillon_projected_events_total 4",
            "carillon_set_aside_events_total 1",
            "carillon_build_info{version=\"1.2.3\"} 1",
            "carillon_process_start_time_seconds 1700000000.5",
            "carillon_connections 5",
            "carillon_closes_total{code=\"3008\"} 6",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
