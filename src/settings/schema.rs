//! Checks a layer of settings against the defaults, which say what keys there are
//! and of what type, and lays it over the layers below.

use serde_json::{Map, Value};

use super::fault::{self, Fault};
use super::{DEFAULTS, rules};

/// Where the tables of a list of tables have their defaults, by the key of the list.
const LIST_OF_TABLES: &str = "channel.namespaces";
const TABLE_IN_LIST: &str = "channel.without_namespace";

/// The tree of `config.default.toml`.
pub(super) fn defaults() -> Map<String, Value> {
    toml::from_str(DEFAULTS).expect("config.default.toml is TOML: a test reads it")
}

/// Whether the list at `key` is one of tables; all others are lists of texts.
pub(super) fn is_list_of_tables(key: &str) -> bool {
    key == LIST_OF_TABLES
}

/// The default of the setting or table at `path`, if there is one.
pub(super) fn default_of(path: &[String]) -> Option<Value> {
    let mut at = Value::Object(defaults());
    for name in path {
        at = at.as_object_mut()?.remove(name)?;
    }
    Some(at)
}

/// The fault of a key that there is not.
pub(super) fn unknown(key: &str) -> Fault {
    let mut known = Vec::new();
    collect_keys(&defaults(), "", &mut known);
    unknown_among(key, &known)
}

fn unknown_among(key: &str, known: &[String]) -> Fault {
    let problem = match fault::nearest(key, known) {
        Some(meant) => format!("unknown setting; did you mean {meant}?"),
        None => "unknown setting".to_owned(),
    };
    Fault::new(key, problem)
}

fn collect_keys(table: &Map<String, Value>, prefix: &str, keys: &mut Vec<String>) {
    for (name, value) in table {
        let key = join(prefix, name);
        if let Value::Object(inner) = value {
            collect_keys(inner, &key, keys);
        }
        keys.push(key);
    }
}

/// The path of `name` in the table at `prefix`. A name that is not bare is quoted, so
/// that a fault stays on its line.
fn join(prefix: &str, name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = if !name.is_empty() && name.chars().all(is_bare) {
        name.to_owned()
    } else {
        format!("{name:?}")
    };
    if prefix.is_empty() { name } else { format!("{prefix}.{name}") }
}

/// Lays `given` over `below`: tables are merged, everything else is replaced.
pub(super) fn overlay(below: &mut Map<String, Value>, given: Map<String, Value>) {
    for (name, value) in given {
        match (below.get_mut(&name), value) {
            (Some(Value::Object(below)), Value::Object(given)) => overlay(below, given),
            (_, value) => {
                below.insert(name, value);
            }
        }
    }
}

/// What of `given` is without fault; each fault is added to `faults`.
pub(super) fn check(given: &Map<String, Value>, faults: &mut Vec<Fault>) -> Map<String, Value> {
    let place = Place::default();
    Checker { faults }.table(&defaults(), given, &place)
}

/// Gives each table of a list what it does not set itself.
pub(super) fn fill_namespaces(mut tree: Map<String, Value>) -> Map<String, Value> {
    let template = table_in_list();
    let list = tree
        .get_mut("channel")
        .and_then(|channel| channel.get_mut("namespaces"))
        .and_then(Value::as_array_mut);
    for item in list.into_iter().flatten() {
        let mut filled = template.clone();
        if let Value::Object(given) = item.take() {
            overlay(&mut filled, given);
        }
        *item = Value::Object(filled);
    }
    tree
}

/// What a table of the list may hold: its name and every option of channels.
fn table_in_list() -> Map<String, Value> {
    let path: Vec<String> = TABLE_IN_LIST.split('.').map(str::to_owned).collect();
    let mut template = match default_of(&path) {
        Some(Value::Object(template)) => template,
        _ => Map::new(),
    };
    template.insert("name".to_owned(), Value::from(""));
    template
}

/// A place in the tree.
#[derive(Clone, Default)]
struct Place {
    /// How it is shown: `channel.namespaces[2].name`.
    key: String,
    /// Where its rules are: the same, but for a table in a list where its defaults are.
    rules: String,
}

impl Place {
    fn child(&self, name: &str) -> Self {
        Self { key: join(&self.key, name), rules: join(&self.rules, name) }
    }
}

struct Checker<'a> {
    faults: &'a mut Vec<Fault>,
}

impl Checker<'_> {
    fn table(
        &mut self,
        default: &Map<String, Value>,
        given: &Map<String, Value>,
        place: &Place,
    ) -> Map<String, Value> {
        let mut good = Map::new();
        for (name, value) in given {
            let at = place.child(name);
            match default.get(name) {
                Some(default) => {
                    if let Some(value) = self.value(default, value, &at) {
                        good.insert(name.clone(), value);
                    }
                }
                None => self.unknown(default, &at, place),
            }
        }
        good
    }

    fn unknown(&mut self, siblings: &Map<String, Value>, at: &Place, table: &Place) {
        let mut known = Vec::new();
        collect_keys(siblings, &table.key, &mut known);
        // Outside of a list it may also belong into another table.
        if table.key == table.rules {
            collect_keys(&defaults(), "", &mut known);
            known.sort();
            known.dedup();
        }
        self.faults.push(unknown_among(&at.key, &known));
    }

    fn value(&mut self, default: &Value, given: &Value, at: &Place) -> Option<Value> {
        let checked = match (default, given) {
            (Value::Object(default), Value::Object(given)) => {
                return Some(Value::Object(self.table(default, given, at)));
            }
            (Value::Array(_), Value::Array(items)) => return Some(self.list(items, at)),
            (Value::Bool(_), Value::Bool(_)) => Ok(()),
            (Value::Number(_), Value::Number(number)) => rules::check_number(&at.rules, number),
            (Value::String(default), Value::String(text)) => {
                rules::check_text(&at.rules, default, text)
            }
            _ => Err(wrong_kind(default, given)),
        };
        match checked {
            Ok(()) => Some(given.clone()),
            Err(problem) => {
                self.faults.push(Fault::new(&at.key, problem));
                None
            }
        }
    }

    /// Checks the items of a list. A faulty one leaves an empty one in its place,
    /// so that those after it keep their number.
    fn list(&mut self, items: &[Value], list: &Place) -> Value {
        let default = if is_list_of_tables(&list.key) {
            Value::Object(table_in_list())
        } else {
            Value::from("")
        };
        let checked = items.iter().enumerate().map(|(index, item)| {
            let at = Place {
                key: format!("{}[{index}]", list.key),
                rules: if default.is_object() {
                    TABLE_IN_LIST.to_owned()
                } else {
                    format!("{}[]", list.rules)
                },
            };
            self.value(&default, item, &at).unwrap_or_else(|| default.clone())
        });
        checked.collect()
    }
}

fn wrong_kind(default: &Value, given: &Value) -> String {
    format!("must be {}, not {}", rules::kind(default), rules::kind(given))
}
