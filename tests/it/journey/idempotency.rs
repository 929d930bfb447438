//! A write that is repeated with its key happens once.

use serde_json::{Value, json};

use crate::support::{Answer, Api, Server, pages};

fn body() -> Value {
    json!({"title": "Only once", "content": "However often it is sent."})
}

async fn post_with_key(api: &Api, token: &str, key: &str, body: &Value) -> Answer {
    let ask = api.post("/v1/posts").token(token).key(key);
    ask.json(body).send().await
}

#[tokio::test]
async fn the_same_key_and_body_get_the_first_answer_again() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe("feed:all").await;
    let first = post_with_key(&api, &ada.token, "k1", &body()).await;
    let again = post_with_key(&api, &ada.token, "k1", &body()).await;
    assert_eq!(again.expect(201), first.expect(201));
    assert_eq!(pages(&api, "/v1/feed", 50).await.len(), 1);
    socket.publication("feed:all").await;
    assert_eq!(socket.left("feed:all").await, Vec::<Value>::new(), "told once");
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    post_with_key(&api, &ada.token, "k1", &body()).await.expect(201);
    let other = json!({"title": "Something else", "content": "Under the same key."});
    post_with_key(&api, &ada.token, "k1", &other).await.problem(422);
    assert_eq!(pages(&api, "/v1/feed", 50).await.len(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_its_user() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let hers = post_with_key(&api, &ada.token, "k1", &body()).await;
    let his = post_with_key(&api, &bob.token, "k1", &body()).await;
    assert_ne!(his.expect(201)["id"], hers.expect(201)["id"]);
    assert_eq!(his.body["author"]["id"], json!(bob.id));
}

#[tokio::test]
async fn concurrent_identical_requests_make_one_post() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (api, token) = (api.clone(), ada.token.clone());
        requests.spawn(async move { post_with_key(&api, &token, "k1", &body()).await });
    }
    let answers = requests.join_all().await;
    let mut ids = Vec::new();
    for answer in &answers {
        if answer.status == 409 {
            assert!(!answer.header("retry-after").is_empty(), "still running says when: {answer}");
        } else {
            ids.push(answer.expect(201)["id"].clone());
        }
    }
    assert!(!ids.is_empty(), "one of them got its answer");
    assert!(ids.iter().all(|id| *id == ids[0]), "all got the same: {ids:?}");
    assert_eq!(pages(&api, "/v1/feed", 50).await.len(), 1);
}

#[tokio::test]
async fn a_key_outlives_a_kill_of_the_server() {
    let mut server = Server::start().await;
    let ada = server.api().person("ada").await;
    let first = post_with_key(&server.api(), &ada.token, "k1", &body()).await;
    server.kill();
    server.restart().await;
    let api = server.api();
    let again = post_with_key(&api, &ada.token, "k1", &body()).await;
    assert_eq!(again.expect(201), first.expect(201));
    let other = json!({"title": "Something else", "content": "Under the same key."});
    post_with_key(&api, &ada.token, "k1", &other).await.problem(422);
    assert_eq!(pages(&api, "/v1/feed", 50).await.len(), 1);
}

#[tokio::test]
async fn a_server_publication_with_a_key_happens_once_also_across_a_kill() {
    let mut server = Server::with(
        "[[channel.namespaces]]\nname = \"chat\"\nallow_subscribe_for_client = true\n\
         history_size = 10\nhistory_ttl = \"300s\"\nforce_recovery = true\n\
         allow_history_for_subscriber = true\n",
    )
    .await;
    let ada = server.api().person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe("chat:room").await;
    let once = json!({"channel": "chat:room", "data": {"n": 1}, "idempotency_key": "k1"});
    let first = server.api().server_result("publish", &once).await;
    let again = server.api().server_result("publish", &once).await;
    assert_eq!(again, first);
    let other = json!({"channel": "chat:room", "data": {"n": 2}, "idempotency_key": "k2"});
    server.api().server_result("publish", &other).await;
    let numbers = [socket.publication("chat:room").await, socket.publication("chat:room").await];
    assert_eq!([&numbers[0]["data"]["n"], &numbers[1]["data"]["n"]], [&json!(1), &json!(2)]);
    assert_eq!(socket.left("chat:room").await, Vec::<Value>::new());

    server.kill();
    server.restart().await;
    let mut socket = server.socket(&ada.token).await;
    let before = socket.subscribe("chat:room").await;
    server.api().server_result("publish", &once).await;
    let fresh = json!({"channel": "chat:room", "data": {"n": 3}, "idempotency_key": "k3"});
    server.api().server_result("publish", &fresh).await;
    let next = socket.publication("chat:room").await;
    assert_eq!(next["data"]["n"], 3, "the repeated one was not told again: {next}");
    assert_eq!(next["offset"], json!(before.offset + 1));
}

#[tokio::test]
async fn a_registration_that_is_repeated_with_its_key_gets_the_first_answer() {
    let server = Server::start().await;
    let api = server.api();
    let body = json!({"email": "a@example.org", "username": "ada-once", "password": "a password"});
    let register = || api.post("/v1/users").key("r1").json(&body).send();
    let first = register().await;
    assert_eq!(register().await.expect(201), first.expect(201));
    let other = json!({"email": "b@example.org", "username": "bob-once", "password": "a password"});
    api.post("/v1/users").key("r1").json(&other).send().await.problem(422);
}
