//! The published JavaScript SDK, unchanged, against this server.

use serde_json::{Value, json};

use crate::support::{Api, Cut, PATIENCE, Person, Script, Server, installed, skipped, within};

/// Waits for the next thing of this kind that the SDK's script tells.
async fn next(script: &mut Script, kind: &str) -> Value {
    within(PATIENCE * 2, &format!("{kind} from the SDK"), async {
        loop {
            let event = script.next().await;
            if event["event"] == kind {
                return event;
            }
            assert_ne!(event["event"], "error", "the SDK reports {event}");
        }
    })
    .await
}

#[tokio::test]
async fn the_javascript_sdk_recovers_what_it_missed_exactly_once_and_in_order() {
    let test = "the_javascript_sdk_recovers_what_it_missed_exactly_once_and_in_order";
    let modules = match installed("sdk").await {
        Ok(modules) => modules,
        Err(reason) => return skipped(test, &reason),
    };
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let wire = Cut::new(server.address()).await;
    let url = format!("ws://{}/connection/websocket", wire.address());
    let mut script = Script::start("sdk", "recover.mjs", &modules, &[&url, &ada.token, "feed:all"]);
    next(&mut script, "subscribed").await;

    let mut wanted = Vec::new();
    let mut told = Vec::new();
    for round in 1..=3 {
        wanted.push(format!("Live {round}"));
        api.publish(&ada, &format!("Live {round}")).await;
        told.push(next(&mut script, "publication").await);
        wire.cut();
        next(&mut script, "connecting").await;
        for number in 1..=3 {
            let title = format!("Missed {round}.{number}");
            api.publish(&ada, &title).await;
            wanted.push(title);
        }
        wire.mend();
        let back = next(&mut script, "subscribed").await;
        assert_eq!(back["wasRecovering"], true, "{back}");
        assert_eq!(back["recovered"], true, "{back}");
        for _ in 1..=3 {
            told.push(next(&mut script, "publication").await);
        }
    }
    api.publish(&ada, "Last").await;
    wanted.push("Last".to_owned());
    told.push(next(&mut script, "publication").await);
    let titles: Vec<_> = told.iter().map(|event| event["title"].as_str().unwrap_or("")).collect();
    assert_eq!(titles, wanted);
    let offsets: Vec<_> = told.iter().map(|event| event["offset"].clone()).collect();
    assert_eq!(offsets, (1..=wanted.len()).map(|n| json!(n)).collect::<Vec<_>>());
}

/// Channels of a back end that recover as far back as those of the product do, and tokens of its own.
const OWN_TOKENS: &str = r#"
relay.wait_timeout = "10s"
client.token.hmac_secret_key = "secret of a back end"

[[channel.namespaces]]
name = "board"
history_size = 100
history_ttl = "60s"
history_recovery = "log"
force_recovery = true
"#;
const BOARD: &str = "$board:plans";

/// What the script of `restart.mjs` has told so far.
#[derive(Default)]
struct Heard {
    /// Titles and numbers, channel by channel, in their order.
    feed: Vec<Value>,
    board: Vec<Value>,
    connected: usize,
    failed: usize,
    /// Subscriptions, each with whether it had been away and whether nothing is missing.
    subscribed: Vec<(Value, Value)>,
    connection_tokens: usize,
    subscription_tokens: usize,
}

impl Heard {
    /// Listens until it is as `wanted`.
    async fn until(&mut self, script: &mut Script, what: &str, wanted: impl Fn(&Self) -> bool) {
        within(PATIENCE * 3, what, async {
            while !wanted(self) {
                let event = script.next().await;
                let data = &event["data"];
                match (event["event"].as_str(), event["of"].as_str()) {
                    (Some("publication"), _) if event["channel"] == BOARD => {
                        self.board.push(data["n"].clone());
                    }
                    (Some("publication"), _) => self.feed.push(data["post"]["title"].clone()),
                    (Some("connected"), _) => self.connected += 1,
                    (Some("failed"), _) => self.failed += 1,
                    (Some("subscribed"), _) => {
                        let how = (event["wasRecovering"].clone(), event["recovered"].clone());
                        self.subscribed.push(how);
                    }
                    (Some("token"), Some("connection")) => self.connection_tokens += 1,
                    (Some("token"), Some("subscription")) => self.subscription_tokens += 1,
                    (Some("connecting"), _) => {}
                    _ => panic!("the SDK gives up: {event}"),
                }
            }
        })
        .await;
    }

    /// Listens until both kinds of tokens were renewed twice, on the connection that there is.
    async fn renewals(&mut self, script: &mut Script) {
        let (connection, subscription) = (self.connection_tokens, self.subscription_tokens);
        let (connected, subscribed) = (self.connected, self.subscribed.len());
        self.until(script, "both tokens to be renewed", |heard| {
            heard.connection_tokens >= connection + 2
                && heard.subscription_tokens >= subscription + 2
        })
        .await;
        assert_eq!((self.connected, self.subscribed.len()), (connected, subscribed), "it stayed");
    }
}

/// Has something told on both channels, and notes it as awaited.
async fn tell_both(
    api: &Api,
    author: &Person,
    n: usize,
    feed: &mut Vec<Value>,
    board: &mut Vec<Value>,
) {
    let title = format!("Post {n}");
    api.publish(author, &title).await;
    api.server_result("publish", &json!({"channel": BOARD, "data": {"n": n}})).await;
    feed.push(json!(title));
    board.push(json!(n));
}

#[tokio::test]
async fn the_javascript_sdk_lives_through_a_kill_and_renews_its_tokens_before_and_after() {
    let test = "the_javascript_sdk_lives_through_a_kill_and_renews_its_tokens_before_and_after";
    let modules = match installed("sdk").await {
        Ok(modules) => modules,
        Err(reason) => return skipped(test, &reason),
    };
    let mut server = Server::with(OWN_TOKENS).await;
    let ada = server.api().person("ada").await;
    // It keeps its port while the server, killed and started again, gets another.
    let wire = Cut::new(server.address()).await;
    let url = format!("ws://{}/connection/websocket", wire.address());
    let arguments = [url.as_str(), "secret of a back end", "feed:all", BOARD];
    let mut script = Script::start("sdk", "restart.mjs", &modules, &arguments);
    let (mut heard, mut feed, mut board) = (Heard::default(), Vec::new(), Vec::new());
    heard.until(&mut script, "both subscriptions", |heard| heard.subscribed.len() == 2).await;
    tell_both(&server.api(), &ada, 1, &mut feed, &mut board).await;
    let is_heard = |heard: &Heard| heard.feed.len() == 1 && heard.board.len() == 1;
    heard.until(&mut script, "what is live", is_heard).await;
    heard.renewals(&mut script).await;

    for round in 1..=2 {
        wire.cut();
        for n in [1, 2] {
            tell_both(&server.api(), &ada, 10 * round + n, &mut feed, &mut board).await;
        }
        server.restart().await;
        wire.lead_to(server.address());
        for n in [3, 4] {
            tell_both(&server.api(), &ada, 10 * round + n, &mut feed, &mut board).await;
        }
        // It goes on trying, while its tokens run out.
        let failed = heard.failed;
        heard.until(&mut script, "attempts that fail", |heard| heard.failed >= failed + 3).await;
        let (connected, subscribed) = (heard.connected, heard.subscribed.len());
        wire.mend();
        let all = feed.len();
        heard
            .until(&mut script, "what was missed", |heard| {
                heard.feed.len() >= all && heard.board.len() >= all
            })
            .await;
        assert_eq!((heard.connected, heard.subscribed.len()), (connected + 1, subscribed + 2));
        let back = (json!(true), json!(true));
        assert!(heard.subscribed[subscribed..].iter().all(|how| *how == back), "{round}");
        tell_both(&server.api(), &ada, 10 * round + 5, &mut feed, &mut board).await;
        let all = feed.len();
        heard
            .until(&mut script, "what is live", |heard| {
                heard.feed.len() >= all && heard.board.len() >= all
            })
            .await;
        // Meanwhile it is recorded that it was told: killed within milliseconds of it, the hub would rather repeat it.
        heard.renewals(&mut script).await;
        // Nothing is missing, and nothing came twice.
        assert_eq!((&heard.feed, &heard.board), (&feed, &board));
    }
}
