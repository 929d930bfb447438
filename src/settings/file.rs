//! Reads a file of settings, whichever of the three formats it is in.

use std::path::Path;

use serde_json::{Map, Value};

use super::fault::Fault;

/// The tree that the file at `path` holds. Its ending says the format; TOML if it says none.
pub(super) fn read(path: &Path) -> Result<Map<String, Value>, Fault> {
    let fault = |problem: String| Fault::new(path.display().to_string(), problem);
    let text =
        std::fs::read_to_string(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let tree =
        match ending.as_deref() {
            Some("json") => serde_json::from_str(&text)
                .map_err(|error| fault(format!("is no JSON: {error}")))?,
            Some("yaml" | "yml") => serde_yaml_ng::from_str(&text)
                .map_err(|error| fault(format!("is no YAML: {error}")))?,
            _ => parse_toml(&text).map_err(|problem| fault(format!("is no TOML: {problem}")))?,
        };
    match tree {
        Value::Object(table) => Ok(table),
        // A YAML file with nothing but comments.
        Value::Null => Ok(Map::new()),
        _ => Err(fault("must be a table of settings".to_owned())),
    }
}

/// Parses TOML; the problem names the line but does not show it, for it may hold a secret.
fn parse_toml(text: &str) -> Result<Value, String> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = 1 + text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count();
        format!("{} at line {line}", error.message().replace('\n', ", "))
    })
}
