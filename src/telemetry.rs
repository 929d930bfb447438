//! Log messages, on stderr.

use tracing_subscriber::filter::EnvFilter;

use crate::settings::{Log, LogFormat};

/// Starts logging as the settings say; messages of libraries only from `warn`
/// on, unless everything is asked for. May be called once a process.
pub fn start(log: &Log) {
    let directives = match log.level.as_str() {
        "off" => "off".to_owned(),
        "trace" | "debug" => format!("info,carillon={}", log.level),
        level => format!("warn,carillon={level}"),
    };
    let filter = EnvFilter::new(directives);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Pretty => builder.init(),
    }
}
