//! What operators are told: `carillon doctor`, `carillon migrate` and `/health`, with stores that are well, that are
//! stopped, and that stand still.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Cut, Databases, PATIENCE, Server, Start, until};

/// How long the doctor may take whatever the stores do, and this machine's other work besides.
const DOCTOR_TIME: Duration = Duration::from_secs(12);
/// The same of `/health`.
const HEALTH_TIME: Duration = Duration::from_secs(4);
/// No secret of the tests' servers.
const SECRET: &str = "hunter2";

/// A store as the doctor calls it, as `/health` calls it, and the port where its servers usually are.
struct Store {
    name: &'static str,
    service: &'static str,
    port: u16,
}

const ACCOUNTS: Store = Store { name: "accounts", service: "mysql", port: 3306 };
const EVENTS: Store = Store { name: "events/content", service: "mongodb", port: 27017 };
const ANALYTICS: Store = Store { name: "analytics", service: "postgresql", port: 5432 };
const REALTIME: Store = Store { name: "realtime", service: "redis", port: 6379 };
const STORES: [Store; 4] = [ACCOUNTS, EVENTS, ANALYTICS, REALTIME];

/// A node with embedded stores, whatever the others of this run have.
async fn embedded() -> Server {
    Start::default().environment("CARILLON_ACCOUNTS__URL", "").run().await
}

/// What the doctor says, and with which status.
async fn doctor(server: &Server) -> (Value, i32) {
    let began = Instant::now();
    let ran = server.beside(&["doctor", "--json"]).await;
    assert!(began.elapsed() < DOCTOR_TIME, "{:?}: {}", began.elapsed(), ran.stdout);
    let told = serde_json::from_str(&ran.stdout);
    (told.unwrap_or_else(|e| panic!("{e}: {} {}", ran.stdout, ran.stderr)), ran.code.unwrap())
}

/// What the doctor says of each store in a word.
fn statuses(told: &Value) -> Vec<(&str, &str)> {
    let stores = told["stores"].as_array().unwrap().iter();
    stores.map(|it| (it["store"].as_str().unwrap(), it["status"].as_str().unwrap())).collect()
}

fn schemas(told: &Value) -> Vec<&str> {
    let stores = told["stores"].as_array().unwrap().iter();
    stores.map(|it| it["schema"]["state"].as_str().unwrap()).collect()
}

/// All stores with one status, but one store with another.
fn all_but<'a>(status: &'a str, store: &'a str, other: &'a str) -> Vec<(&'a str, &'a str)> {
    let names = STORES.map(|it| it.name);
    names.map(|name| (name, if name == store { other } else { status })).into()
}

#[tokio::test]
async fn embedded_stores_are_well_and_said_to_be_embedded() {
    let server = embedded().await;
    let (told, code) = doctor(&server).await;
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(statuses(&told), all_but("embedded", "none", ""), "{told:#}");
    assert_eq!(schemas(&told), ["current", "current", "current", "none"], "{told:#}");
    let table = server.beside(&["doctor"]).await;
    assert_eq!(table.code, Some(0));
    let lines: Vec<_> = table.stdout.lines().collect();
    assert!(lines[0].starts_with("STORE") && lines[0].ends_with("SCHEMA"), "{}", table.stdout);
    assert!(lines[1].starts_with("accounts") && lines[1].contains("embedded"), "{}", table.stdout);
    assert!(lines[1].contains("SQLite 3.") && lines[1].ends_with("up to date"), "{}", table.stdout);
}

#[tokio::test]
async fn an_empty_directory_is_left_so_by_the_doctor_and_filled_once_by_all_who_migrate() {
    let mut server = embedded().await;
    server.kill();
    std::fs::remove_dir_all(server.data()).unwrap();
    let (told, code) = doctor(&server).await;
    assert_eq!((code, schemas(&told)), (0, vec!["pending", "pending", "pending", "none"]));
    assert!(!server.data().exists(), "looking makes nothing");
    server.environment("CARILLON_MIGRATE_ON_START", Some("false"));
    let (told, code) = doctor(&server).await;
    assert_eq!((code, told["verdict"].as_str()), (1, Some("unfit")), "a node would not start");

    let migrate = || server.beside(&["migrate"]);
    let (a, b, c) = tokio::join!(migrate(), migrate(), migrate());
    let ran = [a, b, c];
    assert!(ran.iter().all(|it| it.code == Some(0)), "{:?}", ran.map(|it| it.stderr));
    let brought = ran.iter().filter(|it| it.stdout.contains("accounts: brought up to date"));
    assert_eq!(brought.count(), 1, "{:?}", ran.map(|it| it.stdout));
    let again = migrate().await;
    let nothing = "accounts: up to date\nevents/content: up to date\n\
                   analytics: up to date\nrealtime: up to date\n";
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), nothing), "{}", again.stderr);
    server.restart().await;
    assert_eq!(doctor(&server).await.1, 0);
    assert_eq!(server.beside(&["migrate"]).await.code, Some(0), "beside a node as well");
}

#[tokio::test]
async fn a_node_that_may_not_migrate_names_the_command_that_does() {
    let embedded = Start::default().environment("CARILLON_ACCOUNTS__URL", "");
    let (status, stderr) = embedded.settings("migrate_on_start = false").refused().await;
    assert!(!status.success() && stderr.contains("`carillon migrate`"), "{stderr}");
    let name = "a_node_that_may_not_migrate_names_the_command_that_does (servers)";
    let Some(databases) = Databases::fresh(name).await else { return };
    let on_servers = || Start::on(&databases).settings("migrate_on_start = false");
    let (status, stderr) = on_servers().refused().await;
    assert!(!status.success() && stderr.contains("`carillon migrate`"), "{stderr}");

    // Each store says so by itself.
    let mut server = self::embedded().await;
    for (name, url) in databases.environment() {
        server.environment(&name, Some(&url));
    }
    let (told, code) = doctor(&server).await;
    assert_eq!((code, schemas(&told)), (0, vec!["pending", "pending", "pending", "none"]));
    let migrate = || server.beside(&["migrate"]);
    let (a, b, c) = tokio::join!(migrate(), migrate(), migrate());
    for ran in [a, b, c] {
        assert_eq!(ran.code, Some(0), "{} {}", ran.stdout, ran.stderr);
    }
    assert_eq!(schemas(&doctor(&server).await.0), ["current", "current", "current", "none"]);
    on_servers().run().await.api().get("/health").send().await.expect(200);
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_without_the_passwords_of_its_urls() {
    let mut server = embedded().await;
    // Nobody listens at the one; the other is no URL, as the password has a character that must not be there.
    for rest in [format!("u:{SECRET}@127.0.0.1:1/d"), format!("u:{SECRET}/x@127.0.0.1:1/d")] {
        let urls = ["mysql", "mongodb", "postgres", "redis"].map(|it| format!("{it}://{rest}"));
        let [mysql, mongodb, postgres, redis] = &urls;
        for (store, url) in [
            ("ACCOUNTS", mysql),
            ("EVENTS", mongodb),
            ("CONTENT", mongodb),
            ("ANALYTICS", postgres),
            ("REALTIME", redis),
        ] {
            server.environment(&format!("CARILLON_{store}__URL"), Some(url));
        }
        for arguments in [&["doctor"][..], &["doctor", "--json"], &["migrate"]] {
            let began = Instant::now();
            let ran = server.beside(arguments).await;
            assert!(began.elapsed() < DOCTOR_TIME * 2, "{arguments:?}");
            let code = if arguments[0] == "doctor" { 2 } else { 1 };
            let all = ran.stdout + &ran.stderr;
            assert_eq!(ran.code, Some(code), "{all}");
            assert!(!all.contains(SECRET), "{all}");
        }
        let (told, _) = doctor(&server).await;
        assert_eq!(statuses(&told), all_but("unhealthy", "none", ""), "{told:#}");
    }
}

/// Databases of which one is reached through a wire that can be cut.
async fn behind_a_cut(name: &str, store: &Store) -> Option<(Databases, Cut)> {
    let databases = Databases::fresh(name).await?;
    let url = match store.service {
        "mysql" => databases.accounts_url(),
        "postgresql" => databases.analytics_url(),
        "mongodb" => databases.events_url(),
        _ => databases.realtime_url(),
    };
    let (cut, through) = Cut::before(url, store.port).await;
    let databases = match store.service {
        "mysql" => databases.with_accounts(&through),
        "postgresql" => databases.with_analytics(&through),
        "mongodb" => databases.with_events(&through).with_content(&through),
        _ => databases.with_realtime(&through),
    };
    Some((databases, cut))
}

/// What `/health` says of each service in a word, and with which status.
async fn health(server: &Server) -> (Vec<String>, u16) {
    let began = Instant::now();
    let answer = server.api().get("/health").send().await;
    assert!(began.elapsed() < HEALTH_TIME, "{:?}: {answer}", began.elapsed());
    let services = &answer.expect(answer.status)["services"];
    let words = STORES.map(|it| services[it.service]["status"].as_str().unwrap().to_owned());
    (words.into(), answer.status)
}

/// Everything about one store that goes away, in either way, and comes back.
async fn is_told_of_exactly(store: Store) {
    let name = format!("the_one_that_is_stopped_is_told ({})", store.name);
    let Some((databases, cut)) = behind_a_cut(&name, &store).await else { return };
    let server = Start::on(&databases).run().await;
    let well = STORES.map(|_| "healthy".to_owned()).to_vec();
    let without: Vec<_> =
        STORES.map(|it| if it.name == store.name { "unhealthy" } else { "healthy" }).into();
    assert_eq!(health(&server).await, (well.clone(), 200));
    for stands_still in [false, true] {
        let (told, code) = doctor(&server).await;
        assert_eq!((code, statuses(&told)), (0, all_but("healthy", "none", "")), "{told:#}");
        if stands_still {
            cut.stall()
        } else {
            cut.cut()
        }
        let (words, status) = health(&server).await;
        assert_eq!((words, status), (without.iter().map(|&it| it.to_owned()).collect(), 503));
        if store.name == REALTIME.name {
            server.api().get("/health/ready").send().await.expect(200);
        }
        let (told, code) = doctor(&server).await;
        let expected = all_but("healthy", store.name, "unhealthy");
        assert_eq!((code, statuses(&told)), (2, expected), "{told:#}");
        let answer = server.api().get("/health").send().await;
        let said = &answer.expect(503)["services"][store.service]["error"];
        assert!(said.as_str().is_some_and(|it| !it.is_empty()), "{answer}");
        cut.mend();
        until(PATIENCE * 2, "the store to be used again", async || {
            (health(&server).await == (well.clone(), 200)).then_some(())
        })
        .await;
    }
    let told = doctor(&server).await.0;
    assert_eq!(told["verdict"], json!("well"), "{told:#}");
}

#[tokio::test]
async fn a_mysql_that_is_stopped_is_told() {
    is_told_of_exactly(ACCOUNTS).await;
}

#[tokio::test]
async fn a_mongodb_that_is_stopped_is_told() {
    is_told_of_exactly(EVENTS).await;
}

#[tokio::test]
async fn a_postgresql_that_is_stopped_is_told() {
    is_told_of_exactly(ANALYTICS).await;
}

#[tokio::test]
async fn a_redis_that_is_stopped_is_told() {
    is_told_of_exactly(REALTIME).await;
}
