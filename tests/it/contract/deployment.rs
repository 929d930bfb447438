//! The files that deploy the hub: whether they say what they promise. What needs Docker Compose or nginx is asked of them where
//! they are there; no engine is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{has_program, skipped};

const STORES: [&str; 4] = ["mongodb", "mysql", "postgres", "redis"];
const DEVELOPMENT: &str = "deploy/development.env";

fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn compose_file() -> Value {
    serde_yaml_ng::from_str(&text("docker-compose.yml")).expect("docker-compose.yml is YAML")
}

fn services(file: &Value) -> &serde_json::Map<String, Value> {
    file["services"].as_object().expect("there are services")
}

/// What an array of texts has in it; nothing if there is none.
fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The variables that a text refers to, each with whether it must be set.
fn variables(text: &str) -> BTreeMap<String, bool> {
    let mut found = BTreeMap::new();
    for part in text.split("${").skip(1) {
        let end = part.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
        let (name, rest) = part.split_at(end.unwrap_or(part.len()));
        *found.entry(name.to_owned()).or_default() |= rest.starts_with(":?");
    }
    found
}

#[test]
fn every_service_has_an_image_of_its_version_a_health_check_and_waits_for_what_it_needs() {
    let file = compose_file();
    let services = services(&file);
    for (name, image) in [
        ("nginx", "nginx:1."),
        ("hub-1", "carillon:"),
        ("hub-2", "carillon:"),
        ("mysql", "mysql:8."),
        ("mongodb", "mongo:7."),
        ("postgres", "postgres:15"),
        ("redis", "redis:7"),
    ] {
        let service = &services[name];
        let given = service["image"].as_str().unwrap_or_default();
        assert!(given.starts_with(image), "{name}: {given}");
        assert!(!service["healthcheck"]["test"].is_null(), "{name} says whether it is well");
    }
    let waits = |name: &str, for_whom: &[&str]| {
        for other in for_whom {
            let condition = &services[name]["depends_on"][other]["condition"];
            assert_eq!(condition, "service_healthy", "{name} waits for {other}");
        }
    };
    waits("hub-1", &STORES);
    waits("hub-2", &STORES);
    waits("nginx", &["hub-1", "hub-2"]);
    assert_eq!(services.len(), 7);
}

#[test]
fn only_nginx_is_published_and_what_is_mounted_is_there() {
    let file = compose_file();
    for (name, service) in services(&file) {
        let published = service.get("ports").is_some();
        assert_eq!(published, name == "nginx", "{name}");
        for volume in texts(&service["volumes"]) {
            let source = volume.split(':').next().unwrap_or_default();
            if let Some(path) = source.strip_prefix("./") {
                text(path);
            } else {
                assert!(file["volumes"].get(source).is_some(), "{name}: {source} has a name");
            }
        }
    }
    for store in STORES {
        let kept = texts(&file["services"][store]["volumes"]).any(|v| !v.starts_with("./"));
        assert!(kept, "{store} keeps its data in a volume");
    }
    let nodes = text("deploy/nginx.conf");
    for node in services(&file).keys().filter(|name| name.starts_with("hub-")) {
        assert!(nodes.contains(&format!("server {node}:8000 ")), "nginx knows {node}");
    }
}

#[test]
fn no_secret_has_a_default_and_the_development_file_names_every_variable() {
    let file = compose_file();
    let mut secrets = 0;
    for (name, service) in services(&file) {
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            let secret = variable.contains("PASSWORD");
            let login = variable.ends_with("__URL");
            if secret || login {
                let from_outside = variables(value).into_values().eq([true]);
                assert!(from_outside, "{name}: {variable} is asked for, and has no default");
                let user = value.split_once("://").map(|(_, rest)| rest.split(':').next());
                assert!(!login || user == Some(Some("carillon")), "{name}: {variable}: {user:?}");
                secrets += 1;
            }
        }
    }
    assert!(secrets > 10, "the check finds what it is for");
    let development = text(DEVELOPMENT);
    let set = |line: &str| line.split_once('=').map(|(name, _)| name.to_owned());
    let named: BTreeSet<_> = development.lines().filter_map(set).collect();
    for (variable, required) in variables(&text("docker-compose.yml")) {
        let wanted = if required { variable } else { format!("#{variable}") };
        let given = named.contains(&wanted) || named.contains(wanted.trim_start_matches('#'));
        assert!(given, "{wanted} is in {DEVELOPMENT}");
    }
}

#[test]
fn the_image_is_built_of_what_is_sent_to_the_engine_and_runs_as_nobody() {
    let (image, sent) = (text("Dockerfile"), text(".dockerignore"));
    let copied = image.lines().filter_map(|line| line.strip_prefix("COPY "));
    for line in copied.filter(|line| !line.starts_with("--from")) {
        let words: Vec<_> = line.split(' ').filter(|word| !word.starts_with("--")).collect();
        for source in &words[..words.len() - 1] {
            assert!(sent.lines().any(|line| line == format!("!{source}")), "{source} is sent");
        }
    }
    for line in ["USER 10001:10001", "STOPSIGNAL SIGTERM", "ENTRYPOINT [\"carillon\"]"] {
        assert!(image.lines().any(|given| given == line), "{line}");
    }
    assert!(image.contains("\nHEALTHCHECK "));
}

/// Asks Docker Compose, which needs no engine for it, with nothing of this environment but where programs are.
fn compose(arguments: &[&str]) -> Output {
    let mut command = Command::new("docker");
    command.arg("compose").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_clear();
    for name in ["PATH", "HOME", "DOCKER_CONFIG"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.output().expect("docker was there a moment ago")
}

#[test]
fn compose_accepts_the_file_with_secrets_and_refuses_it_without() {
    let name = "compose_accepts_the_file_with_secrets_and_refuses_it_without";
    if !has_program("docker") || !compose(&["version"]).status.success() {
        return skipped(name, "docker compose is not there");
    }
    let given = ["--env-file", DEVELOPMENT, "-f", "docker-compose.yml"];
    let tests = ["-f", "tests/servers.d/compose.yml"];
    for files in [&given[..], &[&given[..], &tests[..]].concat()] {
        let output = compose(&[files, &["config", "--quiet"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // A file .env of whoever runs this must not stand in for what is missing.
    let output = compose(&["--env-file", "/dev/null", "config", "--quiet"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("_PASSWORD is missing a value"), "{said}");
}

#[test]
fn nginx_accepts_its_file() {
    let found = |program: &&str| Command::new(program).arg("-v").output().is_ok();
    let Some(nginx) = ["nginx", "/usr/sbin/nginx"].into_iter().find(found) else {
        return skipped("nginx_accepts_its_file", "nginx is not installed");
    };
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("nginx.conf");
    let scratch = format!("{}/", place.path().display());
    // Versions before 1.27.3 do not know `resolve`, without which the names of the nodes must be known here.
    let written = text("deploy/nginx.conf")
        .replace("/tmp/", &scratch)
        .replace(" resolve ", " ")
        .replace("hub-1:", "127.0.0.1:")
        .replace("hub-2:", "127.0.0.2:");
    std::fs::write(&file, written).unwrap();
    let output = Command::new(nginx).arg("-t").arg("-c").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
