//! Reads settings from the environment.

use serde_json::{Map, Value};

use super::fault::{Fault, holds};
use super::{rules, schema};

const PREFIX: &str = "CARILLON_";

/// Variables that are not settings: what the command line and the tests read themselves.
fn is_setting(variable: &str) -> bool {
    variable.starts_with(PREFIX)
        && !variable.starts_with("CARILLON_TEST_")
        && !matches!(variable, "CARILLON_CONFIG" | "CARILLON_CACHE")
}

/// What the environment sets.
#[derive(Default)]
pub(super) struct Environment {
    /// The checked values.
    pub given: Map<String, Value>,
    /// Which variables gave them.
    pub names: VariableNames,
}

/// Which variable set which key.
#[derive(Default)]
pub(super) struct VariableNames(Vec<(String, String)>);

impl VariableNames {
    /// Adds to a fault found later the variable that set its key, if one did.
    pub fn attribute(&self, fault: &mut Fault) {
        let set_by = self.0.iter().rfind(|(key, _)| holds(key, &fault.key));
        if let Some((_, variable)) = set_by {
            attribute(fault, variable);
        }
    }
}

fn attribute(fault: &mut Fault, variable: &str) {
    fault.problem = format!("{} ({variable})", fault.problem);
}

/// Reads all settings in `variables`. Like in Centrifugo an empty one is as good as
/// none, since that is what deployment templates make of an absent value.
pub(super) fn read(variables: &[(String, String)], faults: &mut Vec<Fault>) -> Environment {
    let mut settings: Vec<_> = variables.iter().filter(|(name, _)| is_setting(name)).collect();
    // A table comes before what is set within it, so that the more specific one holds.
    settings.sort();

    let mut environment = Environment::default();
    for (variable, value) in settings {
        let mut found = Vec::new();
        let path = path_of(variable);
        match parse(variable, &path, value) {
            Ok(None) => {}
            Ok(Some(given)) => {
                let tree = nest(&path, given);
                schema::overlay(&mut environment.given, schema::check(&tree, &mut found));
                let name = (path.join("."), variable.clone());
                environment.names.0.push(name);
            }
            Err(fault) => found.push(fault),
        }
        for mut fault in found {
            attribute(&mut fault, variable);
            faults.push(fault);
        }
    }
    environment
}

fn path_of(variable: &str) -> Vec<String> {
    let path = variable.strip_prefix(PREFIX).unwrap_or(variable);
    path.split("__").map(str::to_ascii_lowercase).collect()
}

/// The value of `variable` as the type that the default has; `None` if it is empty.
fn parse(variable: &str, path: &[String], value: &str) -> Result<Option<Value>, Fault> {
    let key = path.join(".");
    // Two spellings of one variable would have no order.
    let is_exact = !variable.bytes().any(|b| b.is_ascii_lowercase());
    let Some(default) = schema::default_of(path).filter(|_| is_exact) else {
        return Err(schema::unknown(&key));
    };
    if value.is_empty() {
        return Ok(None);
    }
    let json = || {
        serde_json::from_str(value).map_err(|error| {
            let expected = rules::kind(&default);
            Fault::new(&key, format!("must be {expected} as JSON: {error}"))
        })
    };
    let wrong = |expected: &str| Fault::new(&key, format!("must be {expected}, not {value:?}"));
    let parsed = match &default {
        Value::Bool(_) => {
            parse_bool(value).map(Value::Bool).ok_or_else(|| wrong("true or false"))?
        }
        Value::Number(_) => {
            value.parse::<i64>().map(Value::from).map_err(|_| wrong("a whole number"))?
        }
        Value::Array(_) if !schema::is_list_of_tables(&key) && !value.starts_with('[') => {
            value.split_whitespace().map(Value::from).collect()
        }
        Value::Array(_) | Value::Object(_) => json()?,
        Value::String(_) | Value::Null => Value::from(value),
    };
    Ok(Some(parsed))
}

/// Reads a truth value in the spellings that Go's `strconv.ParseBool` and so Centrifugo takes.
fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// A tree with `value` at `path` and nothing else.
fn nest(path: &[String], value: Value) -> Map<String, Value> {
    let mut tree = Map::new();
    if let Some((name, rest)) = path.split_first() {
        let inner = if rest.is_empty() { value } else { Value::Object(nest(rest, value)) };
        tree.insert(name.clone(), inner);
    }
    tree
}
