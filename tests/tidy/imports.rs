//! Who may import whom: the table of the architecture, and the check against it.

use super::source::{Source, line, name, words};

/// The parts of the server crate, each with the parts it may import besides itself. Whoever is not listed may all.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("ports", &["domain"]),
    ("client_protocol", &["domain"]),
    ("settings", &["domain"]),
    ("lifecycle", &["domain", "settings"]),
    ("telemetry", &["domain", "settings"]),
    ("metrics", &["domain"]),
    ("commands", &["domain", "metrics", "ports", "relay"]),
    ("queries", &["domain", "ports"]),
    ("projections", &["domain", "metrics", "ports", "relay"]),
    ("relay", &["domain", "metrics", "ports", "client_protocol"]),
    ("hub", &["domain", "ports", "client_protocol"]),
    ("admission", &["domain", "metrics", "ports"]),
    (
        "endpoints",
        &[
            "domain",
            "ports",
            "client_protocol",
            "settings",
            "metrics",
            "admission",
            "commands",
            "queries",
            "hub",
        ],
    ),
    ("adapters", &["domain", "ports", "settings"]),
];

/// What single files may import beyond their layer.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("src/relay/inbound", "hub"),
    ("src/relay/follow_index", "hub"),
    ("src/relay/control", "hub"),
    ("src/endpoints/services", "relay"),
    ("src/endpoints/websocket/session", "relay"),
];

/// Crates of others that only some places may name.
const DRIVERS: &[(&[&str], &[&str])] = &[
    (&["sqlx", "mongodb", "redis", "fred"], &["src/adapters/"]),
    (&["prometheus_client"], &["src/metrics.rs", "src/metrics/"]),
    (&["axum"], &["src/endpoints/", "src/app.rs", "src/app/"]),
];

/// The part that a file belongs to, with what it may import.
fn layer(path: &str) -> Option<(&'static str, &'static [&'static str])> {
    let rest = path.strip_prefix("src/")?;
    let part = rest.split('/').next()?.trim_end_matches(".rs");
    let found = LAYERS.iter().find(|(name, _)| *name == part)?;
    Some((found.0, found.1))
}

/// The names right below `crate::`, with their places: `crate::a::b`, `crate::{a, b::c}` and `super::` up to the root.
fn imported(path: &str, code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(code, "crate") {
        if let Some(rest) = code[at + 5..].strip_prefix("::") {
            found.extend(first_names(rest).into_iter().map(|name| (at, name)));
        }
    }
    let depth = depth(path);
    let chain = "super::".repeat(depth);
    for (at, _) in code.match_indices(chain.as_str()).filter(|_| depth > 0) {
        let longer = code[..at].ends_with("super::");
        let rest = &code[at + chain.len()..];
        if !longer && !rest.starts_with("super") {
            found.extend(first_names(rest).into_iter().map(|name| (at, name)));
        }
    }
    found
}

/// How many `super::` lead from a file to the root of its crate.
fn depth(path: &str) -> usize {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    inner.trim_end_matches("/mod").split('/').count()
}

fn first_names(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else {
        return vec![name(rest).to_owned()];
    };
    let mut names = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                names.push(name(group[start..at].trim_start()).to_owned());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

/// Every import of a file that the table does not allow.
pub(crate) fn forbidden(source: &Source) -> Vec<String> {
    let (path, code) = (source.path.as_str(), source.product_code());
    let mut complaints = Vec::new();
    if let Some((own, allowed)) = layer(path) {
        for (at, part) in imported(path, &code) {
            let known = LAYERS.iter().any(|(name, _)| *name == part) || part == "app";
            let excepted = EXCEPTIONS.iter();
            let excepted = excepted.clone().any(|(file, to)| path.starts_with(file) && *to == part);
            if known && part != own && !allowed.contains(&part.as_str()) && !excepted {
                let at = line(&code, at);
                complaints.push(format!("{path}:{at}: {own} may not import {part}"));
            }
        }
    }
    if !path.starts_with("src/") {
        return complaints;
    }
    for (crates, places) in DRIVERS {
        for driver in crates.iter().filter(|_| !places.iter().any(|place| path.starts_with(place)))
        {
            for at in words(&code, driver) {
                // The adapter to a driver bears its name.
                let is_ours = code[..at].ends_with("adapters::");
                if !is_ours && code[at + driver.len()..].starts_with("::") {
                    let at = line(&code, at);
                    complaints.push(format!(
                        "{path}:{at}: only {} may name {driver}",
                        places.join(" and ")
                    ));
                }
            }
        }
    }
    complaints
}

#[test]
fn the_import_check_can_complain() {
    for (path, text, count) in [
        ("src/domain/post.rs", "use crate::ports::Clock;", 1),
        ("src/domain/post.rs", "use super::super::ports::Clock;", 1),
        ("src/domain/mod.rs", "use super::hub::Hub;", 1),
        ("src/app.rs", "use crate::adapters::mongodb::Mongo;", 0),
        ("src/app.rs", "use mongodb::Client;", 1),
        ("src/ports/mod.rs", "use crate::{domain::Id, hub::{Hub, Shard}, adapters};", 2),
        ("src/queries/feed.rs", "fn f() { crate::relay::outbound::go() }", 1),
        ("src/relay/outbound.rs", "use crate::hub::Hub;", 1),
        ("src/commands/like.rs", "use sqlx::Row;", 1),
        ("src/hub/mod.rs", "pub fn f(_: axum::Router) {}", 1),
    ] {
        let complaints = forbidden(&Source::new(path, text));
        assert_eq!(complaints.len(), count, "{path} {text}: {complaints:?}");
    }
}

#[test]
fn the_import_check_lets_pass_what_is_allowed() {
    for (path, text) in [
        ("src/relay/inbound.rs", "use crate::hub::Hub;"),
        ("src/commands/publish_post.rs", "use crate::relay::outbound::Relay; use super::Context;"),
        (
            "src/domain/post.rs",
            "// use crate::hub::Hub;\n#[cfg(test)]\nmod tests { use crate::adapters::memory; }",
        ),
        ("src/app.rs", "use crate::adapters::sqlite; use axum::Router;"),
        ("src/hub/shard.rs", "use super::registry::Registry; use crate::hub::wheel;"),
    ] {
        let complaints = forbidden(&Source::new(path, text));
        assert_eq!(complaints, Vec::<String>::new(), "{path} {text}");
    }
}
