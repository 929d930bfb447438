//! `/metrics`: the text format, and that what happens is counted.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::{Api, PATIENCE, Server, Socket, Start, until};

/// One scrape: the samples by name and labels, as they stand in the text.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// Reads the metrics, which must be well-formed.
    async fn of(api: &Api) -> Self {
        let answer = api.get("/metrics").send().await;
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        parse(&answer.text)
    }

    /// The value of a sample, zero if nothing was counted in it yet.
    fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }
}

/// Reads the text format of Prometheus, version 0.0.4: every sample belongs to a metric that was described just
/// before, with a help text and a type that fits its name.
fn parse(text: &str) -> Scrape {
    let mut samples = BTreeMap::new();
    let (mut metric, mut kind) = (String::new(), String::new());
    let mut described = BTreeMap::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap_or_else(|| panic!("a help: {line}"));
            assert!(name.starts_with("carillon_") && help.len() > 5, "{line}");
            assert_eq!(described.insert(name.to_owned(), ()), None, "described twice: {line}");
            (metric, kind) = (name.to_owned(), String::new());
        } else if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, of) = of.split_once(' ').unwrap_or_else(|| panic!("a type: {line}"));
            assert_eq!(name, metric, "{line}");
            assert_eq!(of == "counter", name.ends_with("_total"), "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&of), "{line}");
            kind = of.to_owned();
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            let name = sample.split('{').next().unwrap_or_default();
            let suffix = name.strip_prefix(&metric).unwrap_or_else(|| panic!("{metric}: {line}"));
            let suffixes: &[&str] = match kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(suffixes.contains(&suffix), "{line}");
            let value = value.parse().unwrap_or_else(|_| panic!("a number: {line}"));
            assert_eq!(samples.insert(sample.to_owned(), value), None, "{line}");
        }
    }
    Scrape(samples)
}

/// Scrapes until `done`, and answers that scrape.
async fn scraped(api: &Api, what: &str, done: impl Fn(&Scrape) -> bool) -> Scrape {
    until(PATIENCE, what, || async {
        let scrape = Scrape::of(api).await;
        done(&scrape).then_some(scrape)
    })
    .await
}

#[tokio::test]
async fn a_post_and_its_delivery_are_counted_on_their_way() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe("feed:all").await;
    let before = Scrape::of(&api).await;
    assert_eq!(before.get("carillon_connections"), 1.0);
    assert!(before.get("carillon_subscriptions") >= 1.0);
    assert!(before.get("carillon_channels") >= 1.0);

    api.publish(&ada, "Hello").await;
    socket.publication("feed:all").await;
    let counters = [
        ("carillon_commits_total", 1.0),
        ("carillon_committed_events_total", 1.0),
        ("carillon_commit_batch_events_count", 1.0),
        ("carillon_append_duration_seconds_count", 1.0),
        ("carillon_relayed_events_total", 1.0),
        ("carillon_projected_events_total", 1.0),
        ("carillon_http_requests_total{method=\"POST\",route=\"/v1/posts\",status=\"201\"}", 1.0),
        ("carillon_http_request_duration_seconds_count{method=\"POST\",route=\"/v1/posts\"}", 1.0),
    ];
    // The projection is off the request's path.
    let moved =
        |after: &Scrape| counters.iter().all(|(name, by)| after.get(name) >= before.get(name) + by);
    let after = scraped(&api, "the counters to move", moved).await;
    for name in ["carillon_committed_events_total", counters[6].0, counters[7].0] {
        assert_eq!(after.get(name), before.get(name) + 1.0, "{name}");
    }
    for name in ["carillon_deliveries_total", "carillon_socket_writes_total"] {
        assert!(after.get(name) > before.get(name), "{name}");
    }
    assert_eq!(after.get("carillon_commit_queue_events"), 0.0);
    assert!((0.0..30.0).contains(&after.get("carillon_relay_lag_seconds")));
}

#[tokio::test]
async fn ends_of_connections_are_counted_by_their_code() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    api.delete("/v1/sessions").token(&ada.token).send().await.expect(204);
    socket.expect_closed(3500).await;
    let after = Scrape::of(&api).await;
    assert_eq!(after.get("carillon_closes_total{code=\"3500\"}"), 1.0);
    assert_eq!(after.get("carillon_connections"), 0.0);
    assert_eq!(after.get("carillon_subscriptions"), 0.0);
}

#[tokio::test]
async fn what_waits_for_a_reader_that_does_not_read_is_told() {
    let server = Server::with(
        "client.queue_max_size = 100000000\nclient.queue_max_age = \"10m\"\n\
         [[channel.namespaces]]\nname = \"flood\"\nallow_subscribe_for_client = true\ndurable = false\n",
    )
    .await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut slow = Socket::narrow(server.address(), &ada.token).await;
    slow.subscribe("flood:a").await;
    assert_eq!(Scrape::of(&api).await.get("carillon_blocked_connections"), 0.0);
    let body = json!({"channel": "flood:a", "data": "x".repeat(200_000)});
    // Twenty megabytes in all: more than the kernel keeps for a connection.
    let mut waiting = 0.0;
    for _ in 0..100 {
        api.server_result("publish", &body).await;
        let scrape = Scrape::of(&api).await;
        waiting = scrape.get("carillon_queued_bytes");
        if waiting >= 200_000.0 {
            assert_eq!(scrape.get("carillon_blocked_connections"), 1.0);
            break;
        }
    }
    assert!(waiting >= 200_000.0, "{waiting}");
    slow.cut();
    let gone = |scrape: &Scrape| scrape.get("carillon_connections") == 0.0;
    let after = scraped(&api, "the end of the connection", gone).await;
    assert_eq!(after.get("carillon_blocked_connections"), 0.0);
    assert_eq!(after.get("carillon_queued_bytes"), 0.0);
}

#[tokio::test]
async fn requests_are_counted_by_template_and_never_by_path() {
    let server = Server::start().await;
    let api = server.api();
    let mut ask = api.get("/v1/posts/000000000000000000000001");
    ask = ask.header("Accept", "application/json");
    ask.send().await.problem(404);
    api.get("/no/such/path").send().await.problem(404);
    let scrape = Scrape::of(&api).await;
    let count = |route: &str| {
        let labels = format!("{{method=\"GET\",route=\"{route}\",status=\"404\"}}");
        scrape.get(&format!("carillon_http_requests_total{labels}"))
    };
    assert_eq!((count("/v1/posts/{id}"), count("unknown")), (1.0, 1.0));
    let told = |text: &str| scrape.0.keys().any(|name| name.contains(text));
    assert!(!told("000000000000000000000001") && !told("such"));
}

#[tokio::test]
async fn refusals_and_failed_logins_are_counted() {
    let start = Start::default()
        .environment("CARILLON_LIMITS__ENABLED", "true")
        .environment("CARILLON_LIMITS__LOGINS_PER_MINUTE", "1");
    let server = start.run().await;
    let api = server.api();
    let body = json!({"login": "nobody", "password": "a wrong password"});
    api.post("/v1/sessions").json(&body).send().await.problem_coded(401, "invalid_credentials");
    api.post("/v1/sessions").json(&body).send().await.problem_coded(429, "rate_limited");
    let scrape = Scrape::of(&api).await;
    assert_eq!(scrape.get("carillon_failed_logins_total"), 1.0);
    assert_eq!(scrape.get("carillon_rate_limited_requests_total{policy=\"logins\"}"), 1.0);
}

#[tokio::test]
async fn the_build_and_the_start_are_told() {
    let server = Server::start().await;
    let scrape = Scrape::of(&server.api()).await;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(scrape.get(&format!("carillon_build_info{{version=\"{version}\"}}")), 1.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("it is after 1970").as_secs_f64();
    let started = scrape.get("carillon_process_start_time_seconds");
    assert!((now - 300.0..=now + 1.0).contains(&started), "{started} and {now}");
}
