//! What one value may be, beyond its type.

use std::time::Duration;

use jsonwebtoken::DecodingKey;
use serde_json::{Number, Value};

use super::values::{self, StoreUrl};

/// Whole numbers that may be other than from 1 to [`GREATEST`].
const RANGES: [(&str, u64, u64); 22] = [
    ("http_server.port", 0, 65_535),
    ("accounts.hash_concurrency", 0, 1_024),
    ("accounts.pool.max_connections", 1, 10_000),
    ("accounts.pool.min_connections", 0, 10_000),
    ("analytics.pool.max_connections", 1, 10_000),
    ("analytics.pool.min_connections", 0, 10_000),
    ("events.pool.max_connections", 1, 10_000),
    ("events.pool.min_connections", 0, 10_000),
    ("content.pool.max_connections", 1, 10_000),
    ("content.pool.min_connections", 0, 10_000),
    ("hub.shards", 0, 1_024),
    ("channel.without_namespace.history_size", 0, GREATEST),
    ("client.subscription_token.hmac_previous_secret_key_valid_until", 0, GREATEST),
    ("client.token.hmac_previous_secret_key_valid_until", 0, GREATEST),
    ("trending.list_size", 1, 200),
    ("trending.weights.view", 0, 1_000_000),
    ("trending.weights.like", 0, 1_000_000),
    ("trending.weights.comment", 0, 1_000_000),
    ("trending.weights.share", 0, 1_000_000),
    ("trending.weights.bookmark", 0, 1_000_000),
    ("websocket.compression_level", 1, 9),
    ("websocket.compression_min_size", 0, GREATEST),
];

/// No number needs to be greater, and every type in the settings but the port's can hold it.
const GREATEST: u64 = u32::MAX as u64;

/// Durations that may be zero: what is not waited for, or not kept.
const MAY_BE_ZERO: [&str; 9] = [
    "accounts.hash_wait_timeout",
    "accounts.session_cache_ttl",
    "channel.without_namespace.history_ttl",
    "client.expired_close_delay",
    "client.expired_sub_close_delay",
    "content.sweep_age",
    "idempotency.wait_timeout",
    "relay.wait_timeout",
    "shutdown.timeout",
];

/// Time is counted in milliseconds everywhere.
const SHORTEST: Duration = Duration::from_millis(1);

/// A hundred years; adding it to a point in time overflows nothing.
const LONGEST: Duration = Duration::from_secs(36_500 * 24 * 3_600);

/// Texts that must be one of a few.
const CHOICES: [(&str, &[&str]); 5] = [
    ("log.level", &["trace", "debug", "info", "warn", "error", "off"]),
    ("log.format", &["pretty", "json"]),
    ("channel.without_namespace.history_recovery", &["window", "log"]),
    ("channel.without_namespace.force_recovery_mode", &["stream", "cache"]),
    ("channel.without_namespace.allowed_delta_types[]", &["fossil"]),
];

/// What kind of value this is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "a whole number",
        Value::String(text) if is_duration(text) => "a duration such as \"25s\"",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// Whether `text` is a duration; a setting takes durations if its default is one.
fn is_duration(text: &str) -> bool {
    humantime::parse_duration(text).is_ok()
}

/// Checks the number given for `key`.
pub(super) fn check_number(key: &str, number: &Number) -> Result<(), String> {
    let (_, least, greatest) =
        RANGES.into_iter().find(|(ranged, ..)| *ranged == key).unwrap_or((key, 1, GREATEST));
    match number.as_u64() {
        Some(number) if (least..=greatest).contains(&number) => Ok(()),
        _ => Err(format!("must be a whole number from {least} to {greatest}, not {number}")),
    }
}

/// Checks the text given for `key`, whose default is `default`.
pub(super) fn check_text(key: &str, default: &str, text: &str) -> Result<(), String> {
    if is_duration(default) {
        return check_duration(key, text);
    }
    if let Some((_, choices)) = CHOICES.into_iter().find(|(chosen, _)| *chosen == key) {
        if choices.contains(&text) {
            return Ok(());
        }
        let choices: Vec<String> = choices.iter().map(|c| format!("{c:?}")).collect();
        return Err(format!("must be one of {}, not {text:?}", choices.join(", ")));
    }
    match key {
        "data_dir" if text.is_empty() => Err("must not be empty".to_owned()),
        "http_server.address" => values::check_address(text),
        "http_api.key" if !text.is_empty() && !text.bytes().all(|b| b.is_ascii_graphic()) => {
            Err("must be of visible ASCII characters, for it is sent in a header".to_owned())
        }
        "limits.client_ip_header" if !text.bytes().all(is_in_header_name) => {
            Err(format!("must be the name of a header such as \"X-Real-IP\", not {text:?}"))
        }
        "realtime.key_prefix" if !text.bytes().all(is_in_prefix) => {
            Err("must be of letters, digits and -_.:".to_owned())
        }
        "client.allowed_origins[]" => check_origin(text),
        key if key.starts_with("client.token.") => check_token(&key["client.token.".len()..], text),
        key if key.starts_with("client.subscription_token.") => {
            check_token(&key["client.subscription_token.".len()..], text)
        }
        "realtime.url" | "accounts.url" | "events.url" | "content.url" | "analytics.url" => {
            check_store(key, &StoreUrl::parse(text)?)
        }
        _ => Ok(()),
    }
}

/// Checks a setting of JWTs. A key is never repeated, for somebody may have given a private one.
fn check_token(name: &str, text: &str) -> Result<(), String> {
    let pem = text.as_bytes();
    let is_public = !text.contains("PRIVATE KEY");
    match name {
        _ if text.is_empty() => Ok(()),
        "rsa_public_key" if !is_public || DecodingKey::from_rsa_pem(pem).is_err() => {
            Err("must be the public key of RSA in PEM".to_owned())
        }
        "ecdsa_public_key" if !is_public || DecodingKey::from_ec_pem(pem).is_err() => {
            Err("must be the public key of ECDSA (P-256 or P-384) in PEM".to_owned())
        }
        "ed25519_public_key" if !is_public || DecodingKey::from_ed_pem(pem).is_err() => {
            Err("must be the public key of Ed25519 in PEM".to_owned())
        }
        "jwks_public_endpoint" if !text.starts_with("http://") && !text.starts_with("https://") => {
            Err("must be the URL of a JSON Web Key Set, http:// or https://".to_owned())
        }
        "user_id_claim" if !text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_') => {
            Err(format!("must be of letters and _ only, not {text:?}"))
        }
        _ => Ok(()),
    }
}

/// Checks that the store at `key` has an adapter for `url`.
fn check_store(key: &str, url: &StoreUrl) -> Result<(), String> {
    let (takes, is_taken) = match key {
        "realtime.url" => {
            ("\"memory:\" or \"redis://…\"", matches!(url, StoreUrl::Memory | StoreUrl::Redis(_)))
        }
        "accounts.url" => (
            "\"sqlite:PATH\" or \"mysql://…\"",
            matches!(url, StoreUrl::Sqlite(_) | StoreUrl::Mysql(_)),
        ),
        "analytics.url" => (
            "\"sqlite:PATH\" or \"postgres://…\"",
            matches!(url, StoreUrl::Sqlite(_) | StoreUrl::Postgres(_)),
        ),
        _ => (
            "\"sqlite:PATH\" or \"mongodb://…\"",
            matches!(url, StoreUrl::Sqlite(_) | StoreUrl::Mongodb(_)),
        ),
    };
    match url {
        StoreUrl::Embedded => Ok(()),
        _ if is_taken => Ok(()),
        _ => Err(format!("takes \"\" or {takes}, no other adapter")),
    }
}

fn check_duration(key: &str, text: &str) -> Result<(), String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| format!("must be a duration such as \"300ms\" or \"1h30m\", not {text:?}"))?;
    if duration.is_zero() && MAY_BE_ZERO.contains(&key) {
        Ok(())
    } else if duration < SHORTEST {
        Err(format!("must be at least 1ms, not {text:?}"))
    } else if duration > LONGEST {
        Err(format!("must be at most 36500 days, not {text:?}"))
    } else {
        Ok(())
    }
}

/// Braces would decide where a cluster keeps a key; a connection's name holds no spaces.
fn is_in_prefix(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':')
}

/// What names of headers are made of in practice; RFC 9110 permits some more punctuation.
fn is_in_header_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')
}

/// An origin is what browsers send: a scheme and a host, without a path.
fn check_origin(origin: &str) -> Result<(), String> {
    let is_pattern = origin == "*"
        || origin.split_once("://").is_some_and(|(scheme, host)| {
            !scheme.is_empty()
                && !host.is_empty()
                && !host.contains(['/', '?', '#'])
                && !origin.contains(char::is_whitespace)
        });
    if is_pattern {
        return Ok(());
    }
    Err(format!(
        "must be \"*\" or a scheme and a host such as \"https://app.example.com\", not {origin:?}"
    ))
}
