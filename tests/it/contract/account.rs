//! `/v1/me`: what owners change of their accounts, what operators do beside a live server, and what sockets hear of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{API_KEY, Api, PATIENCE, Person, Server, Socket, until};

/// The password that support registers everybody with.
const PASSWORD: &str = "correct horse battery staple";
const OTHER_PASSWORD: &str = "another password that is long";

async fn try_login(api: &Api, login: &str, password: &str) -> u16 {
    let body = json!({"login": login, "password": password});
    api.post("/v1/sessions").json(&body).send().await.status
}

async fn me(api: &Api, person: &Person) -> Value {
    api.get("/v1/me").token(&person.token).send().await.expect(200).clone()
}

/// Every way of proving a session that has ended is refused.
async fn expect_ended(server: &Server, token: &str) {
    server.api().get("/v1/me").token(token).send().await.problem_coded(401, "unauthorized");
    let mut socket = Socket::open(server.address()).await;
    let (_, connect) = socket.command("connect", json!({"token": token}));
    socket.send(&connect).await;
    socket.expect_closed(3500).await;
}

#[tokio::test]
async fn a_profile_changes_where_something_is_given() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let before = me(&api, &ada).await;
    let patch = |body: Value| api.patch("/v1/me").token(&ada.token).json(&body).send();
    let body = json!({"first_name": " Ada ", "unknown": {"ignored": true}, "username": "other", "plan": "pro"});
    let answer = patch(body).await;
    let mut expected = before.clone();
    expected["first_name"] = json!("Ada");
    expected["display_name"] = json!("Ada");
    assert_eq!(answer.expect(200), &expected);
    let answer = patch(json!({"last_name": "Lovelace", "email": " Countess@Example.TEST "})).await;
    expected["last_name"] = json!("Lovelace");
    expected["display_name"] = json!("Ada Lovelace");
    expected["email"] = json!("countess@example.test");
    assert_eq!(answer.expect(200), &expected);
    for nothing in [json!({}), json!({"email": null, "first_name": null})] {
        assert_eq!(patch(nothing).await.expect(200), &expected);
    }
    assert_eq!(me(&api, &ada).await, expected);
    assert_eq!(try_login(&api, "countess@example.test", PASSWORD).await, 201);
    assert_eq!(try_login(&api, &ada.email, PASSWORD).await, 401);
    let cleared = patch(json!({"first_name": "", "last_name": ""})).await;
    assert_eq!(cleared.expect(200)["display_name"], json!(ada.username));
}

#[tokio::test]
async fn a_bad_profile_is_refused_as_a_whole() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let before = me(&api, &ada).await;
    let patch = |body: Value| api.patch("/v1/me").token(&ada.token).json(&body).send();
    let taken = json!({"email": bob.email.to_uppercase(), "first_name": "Not"});
    patch(taken).await.problem_coded(409, "email_taken");
    let long = "x".repeat(51);
    let bad = json!({"email": "no address", "first_name": long, "last_name": long});
    assert_eq!(patch(bad).await.bad_fields(), ["email", "first_name", "last_name"]);
    assert_eq!(patch(json!({"email": ""})).await.bad_fields(), ["email"]);
    patch(json!({"first_name": 5})).await.problem(422);
    patch(json!({"first_name": "a\u{0}b"})).await.problem(422);
    assert_eq!(me(&api, &ada).await, before);
    api.patch("/v1/me").json(&json!({"first_name": "X"})).send().await.problem(401);
}

#[tokio::test]
async fn a_new_password_needs_the_current_one() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let put = |body: Value| api.put("/v1/me/password").token(&ada.token).json(&body).send();
    let wrong = json!({"current_password": "not my password", "new_password": OTHER_PASSWORD});
    put(wrong).await.problem_coded(403, "wrong_password");
    assert_eq!(put(json!({})).await.bad_fields(), ["current_password", "new_password"]);
    let short = json!({"current_password": PASSWORD, "new_password": "short"});
    assert_eq!(put(short).await.bad_fields(), ["new_password"]);
    let anonymous = json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD});
    api.put("/v1/me/password").json(&anonymous).send().await.problem(401);
    // Nothing of this ended anything.
    me(&api, &ada).await;
    socket.result("ping", json!({})).await;
    assert_eq!(try_login(&api, &ada.email, PASSWORD).await, 201);
}

#[tokio::test]
async fn a_new_password_ends_every_session_and_spares_those_after_it() {
    let server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    let second = api.login(&ada.username).await;
    let mut sockets = [server.socket(&ada.token).await, server.socket(&second).await];
    let mut bobs = server.socket(&bob.token).await;
    let body = json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD});
    let answer = api.put("/v1/me/password").token(&ada.token).json(&body).send().await;
    answer.expect(204);
    for socket in &mut sockets {
        socket.expect_closed(3500).await;
    }
    for token in [&ada.token, &second] {
        expect_ended(&server, token).await;
    }
    assert_eq!(try_login(&api, &ada.email, PASSWORD).await, 401);
    let login = json!({"login": ada.email, "password": OTHER_PASSWORD});
    let answer = api.post("/v1/sessions").json(&login).send().await;
    let token = answer.expect(201)["token"].as_str().expect("a token").to_owned();
    let mut socket = server.socket(&token).await;
    // Bob's ban, later in the row of changes, shows that the server has read those of the password.
    let banned = server.beside(&["admin", "ban", &bob.username]).await;
    assert_eq!(banned.code, Some(0), "{}", banned.stderr);
    bobs.expect_closed(3500).await;
    socket.result("ping", json!({})).await;
}

#[tokio::test]
async fn a_closed_account_is_gone_from_everywhere() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    let answer = api.post("/v1/connection-tickets").token(&ada.token).send().await;
    let ticket = answer.expect(201)["ticket"].as_str().expect("a ticket").to_owned();
    api.delete("/v1/me").send().await.problem(401);
    api.delete("/v1/me").token(&ada.token).send().await.expect(204);
    socket.expect_closed(3500).await;
    expect_ended(&server, &ada.token).await;
    let mut late = Socket::open(server.address()).await;
    let (_, connect) = late.command("connect", json!({"token": ticket}));
    late.send(&connect).await;
    late.expect_closed(3500).await;
    api.delete("/v1/me").token(&ada.token).send().await.problem(401);
    for login in [&ada.email, &ada.username] {
        assert_eq!(try_login(&api, login, PASSWORD).await, 401);
    }
}

#[tokio::test]
async fn a_ban_beside_a_live_server_acts_within_a_second_and_can_be_taken_back() {
    let server = Server::start().await;
    let api = server.api();
    let mut waits = Vec::new();
    for way in 0..3 {
        let person = api.person("banned").await;
        let second = api.login(&person.username).await;
        let mut sockets = [server.socket(&person.token).await, server.socket(&second).await];
        let (number, upper) = (person.id.to_string(), person.email.to_uppercase());
        let user = [number.as_str(), &upper, &person.username][way];
        let banned = server.beside(&["admin", "ban", user]).await;
        assert_eq!(banned.code, Some(0), "{}", banned.stderr);
        let since = Instant::now();
        until(PATIENCE, "the session to be refused", || async {
            let answer = api.get("/v1/me").token(&person.token).send().await;
            (answer.status == 401).then_some(())
        })
        .await;
        for socket in &mut sockets {
            socket.expect_closed(3500).await;
        }
        waits.push(since.elapsed());
        assert_eq!(try_login(&api, &person.email, PASSWORD).await, 401);
        let unbanned = server.beside(&["admin", "unban", user]).await;
        assert_eq!(unbanned.code, Some(0), "{}", unbanned.stderr);
        // The account is open again, its former sessions are not.
        expect_ended(&server, &person.token).await;
        let token = api.login(&person.email).await;
        server.socket(&token).await.result("ping", json!({})).await;
    }
    // The middle one, for a machine that stands still for a moment is not what is tested.
    waits.sort();
    assert!(waits[1] < Duration::from_secs(1), "{waits:?}");
}

#[tokio::test]
async fn a_plan_that_an_operator_sets_shows_soon() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    for plan in ["pro", "enterprise", "free"] {
        let set = server.beside(&["admin", "set-plan", &ada.username, plan]).await;
        assert_eq!(set.code, Some(0), "{}", set.stderr);
        until(PATIENCE, "the plan to show", || async {
            (me(&api, &ada).await["plan"] == json!(plan)).then_some(())
        })
        .await;
    }
    let set = server.beside(&["admin", "set-role", &ada.username, "moderator"]).await;
    assert_eq!(set.code, Some(0), "{}", set.stderr);
    socket.result("ping", json!({})).await;
}

#[tokio::test]
async fn an_order_that_cannot_be_carried_out_says_why() {
    let server = Server::start().await;
    let ada = server.api().person("ada").await;
    for user in ["nobody", "nobody@example.test", "999999", "99999999999999999999999", ""] {
        let ran = server.beside(&["admin", "ban", user]).await;
        assert_eq!(ran.code, Some(1), "{user}: {}", ran.stderr);
        assert!(ran.stderr.contains("no such account"), "{user}: {}", ran.stderr);
        assert!(ran.stderr.contains(user) && ran.stdout.is_empty(), "{user}: {}", ran.stderr);
    }
    for wrong in [
        &["admin", "set-plan", &ada.username, "gold"][..],
        &["admin", "set-role", &ada.username, "king"],
        &["admin", "ban"],
        &["admin"],
    ] {
        assert_eq!(server.beside(wrong).await.code, Some(2), "{wrong:?}");
    }
    me(&server.api(), &ada).await;
}

#[tokio::test]
async fn a_created_key_opens_the_server_api_and_another_does_not() {
    let settings = "[[channel.namespaces]]\nname = \"kept\"\nallow_subscribe_for_client = true\n";
    let server = Server::with(settings).await;
    let api = server.api();
    let ada = api.person("ada").await;
    let mut socket = server.socket(&ada.token).await;
    socket.subscribe("kept:a").await;
    let made = server.beside(&["admin", "create-api-key", "the back end"]).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let key = made.stdout.trim_end();
    assert!(key.starts_with("cak_") && !key.contains(char::is_whitespace), "{key:?}");
    let body = json!({"channel": "kept:a", "data": {"n": 1}});
    for good in [key, API_KEY] {
        let answer = api.post("/api/publish").api_key(good).json(&body).send().await;
        assert!(answer.expect(200)["result"].is_object(), "{answer}");
        assert_eq!(socket.publication("kept:a").await["data"], json!({"n": 1}));
    }
    for bad in ["", "cak_wrong", &format!("{key}x"), &key[..key.len() - 1], &ada.token] {
        let answer = api.post("/api/publish").api_key(bad).json(&body).send().await;
        answer.problem_coded(401, "invalid_api_key");
    }
    let nameless = server.beside(&["admin", "create-api-key", " "]).await;
    assert_eq!(nameless.code, Some(1), "{}", nameless.stderr);
}

#[tokio::test]
async fn preferences_are_the_defaults_until_they_are_put() {
    let server = Server::start().await;
    let api = server.api();
    let ada = api.person("ada").await;
    let get = || api.get("/v1/me/preferences").token(&ada.token).send();
    let put = |body: Value| api.put("/v1/me/preferences").token(&ada.token).json(&body).send();
    let defaults =
        json!({"theme": "dark", "notifications": {"email": true, "push": false, "types": {}}});
    assert_eq!(get().await.expect(200), &defaults);
    let wanted = json!({"theme": "light",
        "notifications": {"email": false, "push": true, "types": {"liked": false}}});
    assert_eq!(put(wanted.clone()).await.expect(200), &wanted);
    assert_eq!(get().await.expect(200), &wanted);
    for bad in [
        json!({"theme": "pink"}),
        json!({"colour": "dark"}),
        json!({"notifications": {"types": {"shouted": true}}}),
        json!({"notifications": {"email": "yes"}}),
    ] {
        put(bad).await.problem(422);
    }
    assert_eq!(get().await.expect(200), &wanted);
    assert_eq!(put(json!({})).await.expect(200), &defaults);
    api.get("/v1/me/preferences").send().await.problem(401);
    api.put("/v1/me/preferences").json(&defaults).send().await.problem(401);
}

#[tokio::test]
async fn a_ban_while_the_server_was_down_is_not_missed_and_old_changes_close_nothing() {
    let mut server = Server::start().await;
    let api = server.api();
    let (ada, bob) = (api.person("ada").await, api.person("bob").await);
    api.delete("/v1/sessions").token(&ada.token).send().await.expect(204);
    let token = api.login(&ada.username).await;
    server.kill();
    let banned = server.beside(&["admin", "ban", &bob.username]).await;
    assert_eq!(banned.code, Some(0), "{}", banned.stderr);
    server.restart().await;
    expect_ended(&server, &bob.token).await;
    let mut socket = server.socket(&token).await;
    let cat = server.api().person("cat").await;
    let mut cats = server.socket(&cat.token).await;
    server.beside(&["admin", "ban", &cat.username]).await;
    cats.closed_within(PATIENCE).await;
    // By now the server has read all changes from the first on, were it to act on them.
    socket.result("ping", json!({})).await;
}
