//! Contradictions between settings that are fine each by itself.

use crate::domain::namespace::BUILT_IN_NAMESPACES;

use super::channels::{ChannelSettings, ModeSetting, NamespaceSettings, RecoverySetting};
use super::fault::{Fault, overlap};
use super::{Pool, Settings};

/// All contradictions in `settings`, except where `known` already has a fault: there
/// a default stands in for what was given, and contradicts by accident.
pub(super) fn contradictions(settings: &Settings, known: &[Fault]) -> Vec<Fault> {
    let mut checks = Checks { known, found: Vec::new() };
    checks.client(settings);
    checks.tls(settings);
    checks.pool("accounts.pool", &settings.accounts.pool);
    checks.pool("analytics.pool", &settings.analytics.pool);
    checks.pool("events.pool", &settings.events.pool);
    checks.pool("content.pool", &settings.content.pool);
    checks.options("channel.without_namespace", &settings.channel.without_namespace);
    for (index, namespace) in settings.channel.namespaces.iter().enumerate() {
        let key = format!("channel.namespaces[{index}]");
        let earlier = &settings.channel.namespaces[..index];
        checks.name(&format!("{key}.name"), &namespace.name, earlier);
        checks.options(&key, &namespace.options);
    }
    checks.found
}

struct Checks<'a> {
    known: &'a [Fault],
    found: Vec<Fault>,
}

impl Checks<'_> {
    /// Notes `problem` with the first of `keys` unless it `holds`; the others take part in it.
    fn require(&mut self, keys: &[&str], holds: bool, problem: impl Into<String>) {
        let is_known = |key: &&str| self.known.iter().any(|fault| overlap(&fault.key, key));
        if !holds && !keys.iter().any(is_known) {
            self.found.push(Fault::new(keys[0], problem));
        }
    }

    fn client(&mut self, settings: &Settings) {
        let client = &settings.client;
        let interval = humantime::format_duration(client.ping_interval);
        self.require(
            &["client.pong_timeout", "client.ping_interval"],
            client.pong_timeout < client.ping_interval,
            format!("must be shorter than client.ping_interval, which is {interval}"),
        );
    }

    fn tls(&mut self, settings: &Settings) {
        let tls = &settings.http_server.tls;
        let enabled = "http_server.tls.enabled";
        for (key, file) in
            [("http_server.tls.cert_pem", &tls.cert_pem), ("http_server.tls.key_pem", &tls.key_pem)]
        {
            self.require(
                &[key, enabled],
                !tls.enabled || !file.as_os_str().is_empty(),
                "must name a file, for http_server.tls.enabled is true",
            );
        }
    }

    fn pool(&mut self, table: &str, pool: &Pool) {
        let (min, max) = (format!("{table}.min_connections"), format!("{table}.max_connections"));
        self.require(
            &[&min, &max],
            pool.min_connections <= pool.max_connections,
            format!("must be at most {max}, which is {}", pool.max_connections),
        );
    }

    fn name(&mut self, key: &str, name: &str, earlier: &[NamespaceSettings]) {
        // The rule of Centrifugo 6: ^[-a-zA-Z0-9_.]{2,}$
        let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        self.require(
            &[key],
            name.len() >= 2 && name.bytes().all(is_letter),
            format!("must be two or more of a-z A-Z 0-9 - _ . and not {name:?}"),
        );
        self.require(
            &[key],
            !BUILT_IN_NAMESPACES.contains(&name),
            format!("{name:?} is built in and cannot be configured"),
        );
        let same = earlier.iter().position(|other| other.name == name);
        // An empty name is a fault of its own already.
        if let Some(same) = same.filter(|_| !name.is_empty()) {
            let other = format!("channel.namespaces[{same}].name");
            let problem = format!("{name:?} is {other} already");
            self.require(&[key, &other], false, problem);
        }
    }

    fn options(&mut self, table: &str, options: &ChannelSettings) {
        let key = |name: &str| format!("{table}.{name}");
        let (size, ttl) = (key("history_size"), key("history_ttl"));
        let has_size = options.history_size > 0;
        let has_ttl = !options.history_ttl.is_zero();
        self.require(
            &[&size, &ttl],
            has_size || !has_ttl,
            "must be set, for history_ttl is: a history needs both",
        );
        self.require(
            &[&ttl, &size],
            has_ttl || !has_size,
            "must be set, for history_size is: a history needs both",
        );
        // Without any history; half of one is a fault of its own already.
        let no_history = !has_size && !has_ttl;
        self.require(
            &[&key("force_recovery"), &size, &ttl],
            !(options.force_recovery && no_history),
            "needs a history: set history_size and history_ttl",
        );
        self.require(
            &[&key("force_recovery_mode"), &size, &ttl],
            options.force_recovery_mode != ModeSetting::Cache || !no_history,
            "\"cache\" needs a history: set history_size and history_ttl",
        );
        let from_log = options.history_recovery == RecoverySetting::Log;
        let recovery = key("history_recovery");
        self.require(
            &[&recovery, &size, &ttl],
            !(from_log && no_history),
            "\"log\" needs a history: set history_size and history_ttl",
        );
        self.require(
            &[&recovery, &key("durable")],
            !from_log || options.durable,
            "\"log\" needs durable = true: nothing else is in the log",
        );
    }
}
