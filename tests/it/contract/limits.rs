//! Rate limits: who is refused when, and what the headers say.

use serde_json::json;

use crate::support::{Answer, Api, Server, Start, unique};

/// A server with limits, unlike those of all other tests.
async fn limited(settings: &[(&str, &str)]) -> Server {
    let start = Start::default().environment("CARILLON_LIMITS__ENABLED", "true");
    let set = |start: Start, (name, value): &(&str, &str)| {
        start.environment(&format!("CARILLON_LIMITS__{name}"), value)
    };
    settings.iter().fold(start, set).run().await
}

/// The name of a policy and the numbers of its two parameters, of a header of exactly the documented form.
fn parse<'a>(value: &'a str, parameters: [&str; 2]) -> (&'a str, [u64; 2]) {
    let mut parts = value.split(';');
    let name = parts.next().unwrap_or_default();
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    let name = name.unwrap_or_else(|| panic!("a quoted name first: {value:?}"));
    let numbers = parameters.map(|parameter| {
        let part = parts.next().unwrap_or_default();
        let number = part.strip_prefix(parameter).and_then(|rest| rest.strip_prefix('='));
        number.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{parameter} in {value:?}"))
    });
    assert_eq!(parts.next(), None, "{value:?}");
    (name, numbers)
}

/// What the headers of a limited answer say: the quota, what is left of it, and until when.
fn told(answer: &Answer, policy: &str) -> (u64, u64, u64) {
    let (name, [quota, window]) = parse(answer.header("ratelimit-policy"), ["q", "w"]);
    assert_eq!((name, window), (policy, 60), "{answer}");
    let (name, [remaining, reset]) = parse(answer.header("ratelimit"), ["r", "t"]);
    assert_eq!(name, policy, "{answer}");
    assert!(remaining <= quota && (1..=60).contains(&reset), "{answer}: {:?}", answer.headers);
    (quota, remaining, reset)
}

/// Checks that an answer is a refusal that says when to come back.
fn refused(answer: &Answer, policy: &str) {
    answer.problem_coded(429, "rate_limited");
    let (_, remaining, reset) = told(answer, policy);
    assert_eq!(remaining, 0, "{answer}");
    assert_eq!(answer.header("retry-after"), reset.to_string(), "{answer}");
}

async fn register(api: &Api, headers: &[(&str, &str)]) -> Answer {
    // An incomplete registration counts as well, and costs no password hash.
    let body = json!({"username": format!("u{}", unique()), "email": "bad", "password": "short"});
    let ask = api.post("/v1/users").json(&body);
    headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value)).send().await
}

/// The first refusal among `count` answers, each of which has the headers.
async fn first_refusal(
    count: usize,
    policy: &str,
    mut ask: impl AsyncFnMut() -> Answer,
) -> (usize, Answer) {
    for number in 1..=count {
        let answer = ask().await;
        told(&answer, policy);
        if answer.status == 429 {
            return (number, answer);
        }
    }
    panic!("none of {count} was refused");
}

#[tokio::test]
async fn the_twenty_first_registration_of_a_minute_is_refused_and_says_until_when() {
    let server = limited(&[]).await;
    let api = server.api();
    // One comes back every three seconds, so that on a slow machine a few more pass.
    let (number, answer) =
        first_refusal(41, "registrations", async || register(&api, &[]).await).await;
    assert!(number > 20, "{number}");
    refused(&answer, "registrations");
}

#[tokio::test]
async fn the_twenty_first_login_of_a_minute_is_refused_before_a_password_is_checked() {
    let server = limited(&[]).await;
    let api = server.api();
    let login = async || api.post("/v1/sessions").json(&json!({"login": "nobody"})).send().await;
    let (number, answer) = first_refusal(41, "logins", login).await;
    assert!(number > 20, "{number}");
    refused(&answer, "logins");
    // Registrations have a quota of their own.
    assert_eq!(register(&api, &[]).await.status, 422);
}

#[tokio::test]
async fn an_accounts_writes_are_told_one_by_one_and_refused_when_used_up() {
    let server = limited(&[("WRITES_PER_MINUTE__FREE", "3")]).await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let post = json!({"title": "Title", "content": "Content."});
    let write = async |token: &str| api.post("/v1/posts").token(token).json(&post).send().await;

    // One comes back after twenty seconds, which is longer than three writes take.
    for left in [2, 1, 0] {
        let answer = write(&ada.token).await;
        answer.expect(201);
        let (quota, remaining, _) = told(&answer, "writes");
        assert_eq!((quota, remaining), (3, left), "{answer}");
    }
    refused(&write(&ada.token).await, "writes");
    // Another session of the same account has no quota of its own; tickets are writes as well.
    let other = api.login(&ada.username).await;
    refused(&api.post("/v1/connection-tickets").token(&other).send().await, "writes");
    let answer = api.post("/v1/connection-tickets").token(&bob.token).send().await;
    answer.expect(201);
    assert_eq!(told(&answer, "writes").1, 2);
    // Reading and logging out are not limited.
    let answer = api.get("/v1/me").token(&ada.token).send().await;
    answer.expect(200);
    assert_eq!(answer.header("ratelimit"), "");
    api.delete("/v1/sessions/current").token(&ada.token).send().await.expect(204);
}

#[tokio::test]
async fn a_write_that_is_refused_for_another_reason_says_the_limit_too() {
    let server = limited(&[]).await;
    let api = server.api();
    let ada = api.person("ada").await;
    let answer = api.post("/v1/posts").token(&ada.token).json(&json!({})).send().await;
    answer.problem(422);
    let (quota, remaining, _) = told(&answer, "writes");
    assert_eq!((quota, remaining), (120, 119), "{answer}");
    let answer = api.post("/v1/posts").token(&ada.token).text("{").send().await;
    answer.problem(400);
    assert_eq!(told(&answer, "writes").0, 120);
    // Whoever is not known has no quota.
    let answer = api.post("/v1/posts").json(&json!({})).send().await;
    answer.problem(401);
    assert_eq!(answer.header("ratelimit"), "");
}

#[tokio::test]
async fn behind_a_proxy_limits_are_by_the_address_that_its_header_names() {
    let settings = [("CLIENT_IP_HEADER", "X-Forwarded-For"), ("REGISTRATIONS_PER_MINUTE", "1")];
    let server = limited(&settings).await;
    let api = server.api();
    for (forwarded, status) in [
        ("192.0.2.1", 422),
        ("192.0.2.1", 429),
        // What comes before the last entry is what the caller said of itself.
        ("198.51.100.9, 192.0.2.1", 429),
        ("192.0.2.1, 192.0.2.2", 422),
        ("2001:db8:0:1::1", 422),
        ("2001:db8:0:1::2", 429),
        ("2001:db8:0:2::1", 422),
    ] {
        let answer = register(&api, &[("X-Forwarded-For", forwarded)]).await;
        assert_eq!(answer.status, status, "{forwarded}: {answer}");
    }
    // Without a readable header it is the peer's address.
    for (headers, status) in [(&[][..], 422), (&[("X-Forwarded-For", "unknown")], 429)] {
        assert_eq!(register(&api, headers).await.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn without_a_proxy_nobody_chooses_an_address() {
    let server = limited(&[("REGISTRATIONS_PER_MINUTE", "1")]).await;
    let api = server.api();
    for (address, status) in [("192.0.2.1", 422), ("192.0.2.2", 429)] {
        let headers = [("X-Forwarded-For", address), ("X-Real-IP", address)];
        assert_eq!(register(&api, &headers).await.status, status, "{address}");
    }
}

#[tokio::test]
async fn limits_that_are_off_refuse_nobody_and_say_nothing() {
    let server = Server::start().await;
    let api = server.api();
    for _ in 0..25 {
        let answer = register(&api, &[]).await;
        answer.problem(422);
        assert_eq!((answer.header("ratelimit"), answer.header("ratelimit-policy")), ("", ""));
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_one_is_a_fault_of_the_settings() {
    let start = Start::default().environment("CARILLON_LIMITS__CLIENT_IP_HEADER", "not a header");
    let (status, stderr) = start.refused().await;
    assert!(!status.success());
    assert!(stderr.contains("limits.client_ip_header"), "{stderr}");
}
