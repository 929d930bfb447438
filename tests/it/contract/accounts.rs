//! `/v1/users` and `/v1/sessions`.

use serde_json::{Value, json};

use crate::support::Server;

fn registration(username: &str, email: &str) -> Value {
    json!({"email": email, "username": username, "password": "a long enough password"})
}

#[tokio::test]
async fn a_registration_answers_the_user_and_no_secret() {
    let server = Server::start().await;
    let body = json!({"email": "ada@example.test", "username": "ada", "password": "a long enough password",
        "first_name": "Ada", "last_name": "Lovelace"});
    let answer = server.api().post("/v1/users").json(&body).send().await;
    let user = answer.expect(201);
    assert!(user["id"].is_i64(), "{user}");
    assert_eq!(user["username"], "ada");
    assert_eq!(user["first_name"], "Ada");
    assert_eq!(user["last_name"], "Lovelace");
    assert_eq!((&user["followers"], &user["following"]), (&json!(0), &json!(0)));
    assert!(user["display_name"].is_string() && user["created_at"].is_string(), "{user}");
    assert!(!answer.text.contains("password"), "no secret comes back: {answer}");
}

#[tokio::test]
async fn a_taken_email_and_a_taken_username_are_told_apart() {
    let server = Server::start().await;
    let api = server.api();
    let first = registration("ada", "ada@example.test");
    api.post("/v1/users").json(&first).send().await.expect(201);
    let same_email = registration("other", "ada@example.test");
    let answer = api.post("/v1/users").json(&same_email).send().await;
    answer.problem_coded(409, "email_taken");
    let same_username = registration("ada", "other@example.test");
    let answer = api.post("/v1/users").json(&same_username).send().await;
    answer.problem_coded(409, "username_taken");
}

#[tokio::test]
async fn of_concurrent_registrations_of_one_name_one_succeeds() {
    let server = Server::start().await;
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..4 {
        let api = server.api();
        requests.spawn(async move {
            let body = registration("ada", &format!("ada{number}@example.test"));
            api.post("/v1/users").json(&body).send().await
        });
    }
    let answers = requests.join_all().await;
    let made = answers.iter().filter(|a| a.status == 201).count();
    assert_eq!(made, 1);
    for answer in answers.iter().filter(|a| a.status != 201) {
        answer.problem_coded(409, "username_taken");
    }
}

#[tokio::test]
async fn every_missing_field_of_a_registration_is_named() {
    let server = Server::start().await;
    let answer = server.api().post("/v1/users").json(&json!({})).send().await;
    assert_eq!(answer.bad_fields(), ["email", "password", "username"]);
    let body = json!({"email": "not an address", "username": "", "password": "x"});
    let answer = server.api().post("/v1/users").json(&body).send().await;
    assert_eq!(answer.bad_fields(), ["email", "password", "username"]);
}

#[tokio::test]
async fn fields_longer_than_their_column_are_refused_by_name() {
    let server = Server::start().await;
    let mut body = registration(&"u".repeat(51), &format!("{}@example.test", "e".repeat(250)));
    body["first_name"] = json!("f".repeat(51));
    body["last_name"] = json!("l".repeat(51));
    let answer = server.api().post("/v1/users").json(&body).send().await;
    assert_eq!(answer.bad_fields(), ["email", "first_name", "last_name", "username"]);
}

#[tokio::test]
async fn a_login_answers_a_session_by_username_or_email() {
    let server = Server::start().await;
    let api = server.api();
    let body = registration("ada", "ada@example.test");
    api.post("/v1/users").json(&body).send().await.expect(201);
    for login in ["ada", "ada@example.test"] {
        let body = json!({"login": login, "password": "a long enough password"});
        let answer = api.post("/v1/sessions").json(&body).send().await;
        let session = answer.expect(201);
        let token = session["token"].as_str().expect("a token");
        assert!(token.starts_with("cst_"), "{session}");
        assert!(session["expires_at"].is_string(), "{session}");
        assert_eq!(session["user"]["username"], "ada");
    }
}

#[tokio::test]
async fn an_unknown_login_and_a_wrong_password_get_the_same_answer() {
    let server = Server::start().await;
    let api = server.api();
    let body = registration("ada", "ada@example.test");
    api.post("/v1/users").json(&body).send().await.expect(201);
    let mut bodies = Vec::new();
    for login in ["ada", "nobody"] {
        let body = json!({"login": login, "password": "not the password at all"});
        let answer = api.post("/v1/sessions").json(&body).send().await;
        let mut problem = answer.problem_coded(401, "invalid_credentials").clone();
        problem["request_id"].take();
        bodies.push(problem);
    }
    assert_eq!(bodies[0], bodies[1], "nobody learns who is registered");
}

#[tokio::test]
async fn what_is_of_me_needs_a_login() {
    let server = Server::start().await;
    let api = server.api();
    let post = json!({"title": "T", "content": "C"});
    api.get("/v1/me").send().await.problem(401);
    api.post("/v1/posts").json(&post).send().await.problem(401);
    api.post("/v1/connection-tickets").send().await.problem(401);
    api.delete("/v1/sessions/current").send().await.problem(401);
    api.delete("/v1/sessions").send().await.problem(401);
    for token in ["cst_unknown", "nonsense", "ctk_unknown"] {
        api.get("/v1/me").token(token).send().await.problem(401);
    }
}
