//! Tests of loading as a whole: layers, faults and the manual.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::channel::ChannelName;
use crate::domain::namespace::{ChannelOptions, HistoryRecovery};

use super::*;

/// Sources with a file named `name` that holds `text`, in a directory that lives as long.
fn file(name: &str, text: &str) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    let sources = Sources { file: Some(path), ..Sources::default() };
    (dir, sources)
}

fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    variables.iter().map(owned).collect()
}

fn load_environment(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::load(&Sources { environment: environment(variables), ..Sources::default() })
}

fn load_toml(text: &str) -> Result<Settings, SettingsError> {
    let (_dir, sources) = file("settings.toml", text);
    Settings::load(&sources)
}

/// The faults as lines, in the order of their keys.
fn lines(result: Result<Settings, SettingsError>) -> Vec<String> {
    let text = result.unwrap_err().to_string();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let settings = Settings::load(&Sources::default()).unwrap();
    assert_eq!(settings.data_dir, PathBuf::from("./carillon-data"));
    assert_eq!(settings.http_server.address, "127.0.0.1");
    assert_eq!(settings.http_server.port, 8000);
    assert_eq!(settings.accounts.session_ttl.as_secs(), 30 * 24 * 3600);
    assert_eq!(settings.relay.wait_timeout, Duration::from_millis(50));
    assert_eq!(settings.accounts.url, StoreUrl::Embedded);
    assert_eq!(settings.log.format, LogFormat::Pretty);
    assert!(settings.migrate_on_start && settings.http_api.key.is_empty());
}

#[test]
fn every_setting_of_the_manual_has_a_short_comment_above_it() {
    let lines: Vec<&str> = DEFAULTS.lines().collect();
    let mut settings = 0;
    for (index, line) in lines.iter().enumerate() {
        if line.starts_with('#') || !line.contains(" = ") {
            continue;
        }
        settings += 1;
        let above = lines[..index].iter().rev();
        let comment = above.take_while(|line| line.starts_with("# ")).count();
        assert!((1..=2).contains(&comment), "{line}: {comment} lines");
    }
    assert!(settings > 70, "only {settings} settings were found");
}

#[test]
fn a_later_source_overrides_an_earlier_one() {
    let text = "data_dir = 'file'\n[http_server]\nport = 1\naddress = '10.0.0.1'\n\
                [client]\nping_interval = '9s'\nchannel_limit = 7";
    let (_dir, mut sources) = file("settings.toml", text);
    sources.environment = environment(&[
        ("CARILLON_HTTP_SERVER__PORT", "2"),
        ("CARILLON_CLIENT__CHANNEL_LIMIT", "8"),
        ("CARILLON_DATA_DIR", "environment"),
        ("CARILLON_LOG", r#"{"level": "warn", "format": "json"}"#),
        ("CARILLON_LOG__LEVEL", "debug"),
    ]);
    let settings = Settings::load(&sources).unwrap();
    assert_eq!(settings.client.ping_interval.as_secs(), 9);
    assert_eq!(settings.client.pong_timeout.as_secs(), 8);
    assert_eq!(settings.client.channel_limit, 8);
    assert_eq!(settings.http_server.address, "10.0.0.1");
    assert_eq!(settings.http_server.port, 2);
    assert_eq!(settings.data_dir, PathBuf::from("environment"));
    assert_eq!(settings.log.level, "debug");
    assert_eq!(settings.log.format, LogFormat::Json);

    sources.listen = Some("[::1]:0".to_owned());
    sources.data = Some("argument".into());
    let settings = Settings::load(&sources).unwrap();
    assert_eq!(settings.http_server.address, "::1");
    assert_eq!(settings.http_server.port, 0);
    assert_eq!(settings.data_dir, PathBuf::from("argument"));
}

#[test]
fn json_and_yaml_files_say_the_same_as_toml() {
    let toml = "[client]\nallowed_origins = ['https://a.example']\nping_interval = '1m'\n\
                [[channel.namespaces]]\nname = 'chat'\npresence = true";
    let json = r#"{"client": {"allowed_origins": ["https://a.example"], "ping_interval": "1m"},
                   "channel": {"namespaces": [{"name": "chat", "presence": true}]}}"#;
    let yaml = "client:\n  allowed_origins: [https://a.example]\n  ping_interval: 1m\n\
                channel:\n  namespaces:\n    - name: chat\n      presence: true\n";
    for (name, text) in
        [("s.toml", toml), ("s.conf", toml), ("s.json", json), ("s.yaml", yaml), ("s.YML", yaml)]
    {
        let (_dir, sources) = file(name, text);
        let settings = Settings::load(&sources).unwrap();
        assert_eq!(settings.client.ping_interval.as_secs(), 60, "{name}");
        assert_eq!(settings.client.allowed_origins, ["https://a.example"]);
        assert_eq!(settings.channel.namespaces[0].name, "chat");
        assert!(settings.channel.namespaces[0].options.presence);
        assert!(settings.channel.namespaces[0].options.durable);
    }
    let (_dir, sources) = file("s.yaml", "# nothing\n");
    assert!(Settings::load(&sources).is_ok());
}

/// A file with a fault of each kind.
const FULL_OF_FAULTS: &str = r#"
        port = 1
        [http_server]
        port = 65536
        [client]
        pingg_interval = "1s"
        channel_limit = 0
        pong_timeout = "30s"
        queue_max_age = 5
        allowed_origins = ["https://a.example/", 7]
        [log]
        level = "loud"
        [accounts]
        url = "postgres://root:hunter2@db/x"
        [events]
        url = "oracle:hunter2"
        append_timeout = "0s"
        [http_api]
        key = 20777
        [[channel.namespaces]]
        name = "chat"
        [[channel.namespaces]]
        name = "chat"
        history_size = 5
        [[channel.namespaces]]
        name = "feed"
        histroy_size = 5
        [[channel.namespaces]]
        name = "x"
        history_recovery = "all"
    "#;

/// The faults of [`FULL_OF_FAULTS`] and of what the test adds to it.
const EVERY_FAULT: [&str; 26] = [
    r#"--data: must not be empty"#,
    r#"--listen: must be ADDR:PORT, such as 127.0.0.1:8000 or [::1]:8000"#,
    r#"accounts.url: takes "" or "sqlite:PATH" or "mysql://…", no other adapter"#,
    r#"channel.namespaces[1].history_ttl: must be set, for history_size is: a history needs both"#,
    r#"channel.namespaces[1].name: "chat" is channel.namespaces[0].name already"#,
    r#"channel.namespaces[2].histroy_size: unknown setting; did you mean channel.namespaces[2].history_size?"#,
    r#"channel.namespaces[2].name: "feed" is built in and cannot be configured"#,
    r#"channel.namespaces[3].history_recovery: must be one of "window", "log", not "all""#,
    r#"channel.namespaces[3].name: must be two or more of a-z A-Z 0-9 - _ . and not "x""#,
    r#"client.allowed_origins[0]: must be "*" or a scheme and a host such as "https://app.example.com", not "https://a.example/""#,
    r#"client.allowed_origins[1]: must be a text, not a whole number"#,
    r#"client.channel_limit: must be a whole number from 1 to 4294967295, not 0"#,
    r#"client.pingg_interval: unknown setting; did you mean client.ping_interval?"#,
    r#"client.pinng_interval: unknown setting; did you mean client.ping_interval? (CARILLON_CLIENT__PINNG_INTERVAL)"#,
    r#"client.pong_timeout: must be shorter than client.ping_interval, which is 25s"#,
    r#"client.queue_max_age: must be a duration such as "25s", not a whole number"#,
    r#"content.sweep_interval: must be a duration such as "300ms" or "1h30m", not "fast" (CARILLON_CONTENT__SWEEP_INTERVAL)"#,
    r#"events.append_timeout: must be at least 1ms, not "0s""#,
    r#"events.url: unknown scheme"#,
    r#"http_api.key: must be a text, not a whole number"#,
    r#"http_server.port: must be a whole number from 0 to 65535, not 65536"#,
    r#"http_server.tls.enabled: must be true or false, not "yes" (CARILLON_HTTP_SERVER__TLS__ENABLED)"#,
    r#"hub.shards: must be a whole number, not "many" (CARILLON_HUB__SHARDS)"#,
    r#"log.level: must be one of "trace", "debug", "info", "warn", "error", "off", not "loud""#,
    r#"port: unknown setting; did you mean http_server.port?"#,
    r#"relay.batch_max_events: must be a whole number from 1 to 4294967295, not -1 (CARILLON_RELAY__BATCH_MAX_EVENTS)"#,
];

#[test]
fn every_fault_of_every_source_is_listed_at_once() {
    let (_dir, mut sources) = file("settings.toml", FULL_OF_FAULTS);
    sources.environment = environment(&[
        ("CARILLON_CLIENT__PINNG_INTERVAL", "1s"),
        ("CARILLON_HUB__SHARDS", "many"),
        ("CARILLON_HTTP_SERVER__TLS__ENABLED", "yes"),
        ("CARILLON_RELAY__BATCH_MAX_EVENTS", "-1"),
        ("CARILLON_CONTENT__SWEEP_INTERVAL", "fast"),
    ]);
    sources.listen = Some("8000".to_owned());
    sources.data = Some(PathBuf::new());
    assert_eq!(lines(Settings::load(&sources)), EVERY_FAULT);
}

#[test]
fn the_environment_gives_lists_and_tables_as_json_and_texts_by_spaces() {
    let settings = load_environment(&[
        ("CARILLON_CLIENT__ALLOWED_ORIGINS", "https://a.example  https://b.example"),
        (
            "CARILLON_CHANNEL__NAMESPACES",
            r#"[{"name": "ns1"}, {"name": "ns2", "history_size": 5, "history_ttl": "1m"}]"#,
        ),
        ("CARILLON_CHANNEL__WITHOUT_NAMESPACE", r#"{"presence": true}"#),
        ("CARILLON_CLIENT__INSECURE", "1"),
        ("CARILLON_HTTP_API__KEY", "hunter2"),
        ("CARILLON_HTTP_SERVER__PORT", ""),
        ("CARILLON_TEST_MYSQL", "x"),
        ("CARILLON_CONFIG", "x"),
        ("CARILLON_CACHE", "x"),
        ("PATH", "x"),
    ])
    .unwrap();
    assert_eq!(settings.client.allowed_origins, ["https://a.example", "https://b.example"]);
    assert_eq!(settings.channel.namespaces[1].options.history_size, 5);
    assert!(settings.channel.without_namespace.presence);
    assert!(settings.client.insecure);
    assert_eq!(settings.http_server.port, 8000);
    assert_eq!(settings.http_api.key.expose(), "hunter2");
    assert!(!format!("{settings:?}").contains("hunter2"));

    let settings =
        load_environment(&[("CARILLON_CLIENT__ALLOWED_ORIGINS", r#"["https://c.example"]"#)]);
    assert_eq!(settings.unwrap().client.allowed_origins, ["https://c.example"]);
}

#[test]
fn faults_in_the_environment_name_the_variable() {
    let found = lines(load_environment(&[
        (
            "CARILLON_CHANNEL__NAMESPACES",
            r#"[{"name": "ab"}, {"name": "cd", "histry_ttl": "1s"}, 3]"#,
        ),
        ("CARILLON_CLIENT_PING_INTERVAL", "1s"),
        ("CARILLON_CLIENT__PONG_TIMEOUT", "40s"),
        ("CARILLON_Client__Insecure", "true"),
        ("CARILLON_HTTP_API", "hunter2"),
        ("CARILLON_LOG__LEVEL__DEEPER", ""),
    ]));
    assert_eq!(
        found,
        [
            "channel.namespaces[1].histry_ttl: unknown setting; did you mean \
             channel.namespaces[1].history_ttl? (CARILLON_CHANNEL__NAMESPACES)",
            "channel.namespaces[2]: must be a table, not a whole number (CARILLON_CHANNEL__NAMESPACES)",
            "client.insecure: unknown setting; did you mean client.insecure? (CARILLON_Client__Insecure)",
            "client.pong_timeout: must be shorter than client.ping_interval, which is 25s \
             (CARILLON_CLIENT__PONG_TIMEOUT)",
            "client_ping_interval: unknown setting; did you mean client.ping_interval? \
             (CARILLON_CLIENT_PING_INTERVAL)",
            "http_api: must be a table as JSON: expected value at line 1 column 1 (CARILLON_HTTP_API)",
            "log.level.deeper: unknown setting (CARILLON_LOG__LEVEL__DEEPER)",
        ]
    );
}

#[test]
fn contradictions_are_found_and_consequences_of_other_faults_are_not() {
    let text = "[http_server.tls]\nenabled = true\nkey_pem = 'key.pem'\n\
                [channel.without_namespace]\nhistory_ttl = '1s'\nhistory_recovery = 'log'\ndurable = false\n\
                [[channel.namespaces]]\nname = 'chat'\nforce_recovery = true\n\
                [[channel.namespaces]]\nname = 'logged'\nhistory_recovery = 'log'";
    assert_eq!(
        lines(load_toml(text)),
        [
            "channel.namespaces[0].force_recovery: needs a history: set history_size and history_ttl",
            "channel.namespaces[1].history_recovery: \"log\" needs a history: set history_size and history_ttl",
            "channel.without_namespace.history_recovery: \"log\" needs durable = true: nothing else is in the log",
            "channel.without_namespace.history_size: must be set, for history_ttl is: a history needs both",
            "http_server.tls.cert_pem: must name a file, for http_server.tls.enabled is true",
        ]
    );
    let text = "[client]\nping_interval = 'soon'\npong_timeout = '26s'\n\
                [[channel.namespaces]]\nname = 'chat'\nhistory_size = -1\nhistory_ttl = '1s'";
    assert_eq!(
        lines(load_toml(text)),
        [
            "channel.namespaces[0].history_size: must be a whole number from 0 to 4294967295, not -1",
            "client.ping_interval: must be a duration such as \"300ms\" or \"1h30m\", not \"soon\"",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault_that_shows_none_of_it() {
    for (name, text) in [
        ("s.toml", "[http_api]\nkey = \"hunter2\nx"),
        ("s.json", "{\"http_api\": {\"key\": \"hunter2\""),
        ("s.yaml", "http_api: {key: 'hunter2'"),
        ("s.yaml", "[hunter2]"),
    ] {
        let (dir, mut sources) = file(name, text);
        sources.environment = environment(&[("CARILLON_NOTHING", "1")]);
        let error = Settings::load(&sources).unwrap_err();
        assert_eq!(error.faults.len(), 2, "{error}");
        let path = dir.path().join(name);
        assert_eq!(error.faults[0].key, path.display().to_string());
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert_eq!(error.to_string().lines().count(), 2, "{error}");
    }
    let missing = Sources {
        file: Some(tempfile::tempdir().unwrap().path().join("none.toml")),
        ..Sources::default()
    };
    assert!(lines(Settings::load(&missing))[0].contains("cannot be read"));
}

#[test]
fn namespaces_become_options_of_channels() {
    let settings = load_toml(
        "[[channel.namespaces]]\nname = 'chat'\nhistory_size = 10\nhistory_ttl = '1h30m'\n\
         history_recovery = 'log'\nallow_publish_for_subscriber = true\n\
         [[channel.namespaces]]\nname = 'typing'\ndurable = false",
    )
    .unwrap();
    let namespaces = settings.channel.to_namespaces();
    let options = |name: &str| namespaces.options(&ChannelName::parse(name, 255).unwrap());
    let chat = ChannelOptions {
        history_size: 10,
        history_ttl: Duration::from_secs(5400),
        history_recovery: HistoryRecovery::Log,
        allow_publish_for_subscriber: true,
        durable: true,
        ..ChannelOptions::default()
    };
    assert_eq!(options("chat:1"), Some(&chat));
    assert_eq!(options("typing:1"), Some(&ChannelOptions::default()));
    let without = ChannelOptions { durable: true, ..ChannelOptions::default() };
    assert_eq!(options("lobby"), Some(&without));
    assert!(options("feed:all").is_some_and(|feed| feed.built_in));
    assert!(options("unknown:1").is_none());
}

#[test]
fn a_listen_address_is_a_host_and_a_port() {
    let cases = [
        ("127.0.0.1:0", Some(("127.0.0.1", 0))),
        ("localhost:8000", Some(("localhost", 8000))),
        ("[::]:8000", Some(("::", 8000))),
    ];
    for (listen, expected) in cases {
        let expected = expected.map(|(address, port): (&str, u16)| (address.to_owned(), port));
        assert_eq!(parse_listen(listen), expected);
    }
    for listen in ["", ":8000", "::1:8000", "[::1]", "[x]:1", "h:+1", "h:65536", "h h:1", "h:"] {
        assert_eq!(parse_listen(listen), None, "{listen}");
    }
}
