//! That the document holds together, and that no route goes past it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::endpoints::router;

/// The only paths that are routed without being described: files of the pages.
const PAGES: [&str; 6] =
    ["/", "/console.css", "/console.js", "/console/{module}", "/docs", "/docs.js"];

fn document() -> Value {
    serde_json::to_value(router::described()).unwrap()
}

/// Each operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((format!("{} {path}", method.to_uppercase()), operation));
        }
    }
    assert!(found.len() > 40, "{} operations", found.len());
    found
}

#[test]
fn every_operation_says_what_it_is_and_how_it_succeeds() {
    let document = document();
    let tags: BTreeSet<_> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .map(Value::as_str)
        .collect();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{name} has no id"));
        assert!(ids.insert(id), "{name}: another operation is called {id}");
        let summary = operation["summary"].as_str().unwrap_or_default();
        let one_sentence = summary.ends_with('.') && !summary.contains('\n');
        assert!(one_sentence && summary.len() > 5, "{name}: {summary:?}");
        let own: Vec<_> = operation["tags"].as_array().unwrap().iter().map(Value::as_str).collect();
        assert!(own.len() == 1 && own.iter().all(|tag| tags.contains(tag)), "{name}: {own:?}");
        let responses = operation["responses"].as_object().unwrap();
        let good = responses.keys().any(|status| status.starts_with('2') || status == "101");
        assert!(good, "{name} never succeeds");
        for (status, response) in responses {
            let described = response["description"].is_string() || response["$ref"].is_string();
            assert!(described, "{name}: {status} has no description");
        }
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let declared = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(declared, name.matches('{').count(), "{name}: parameters of its path");
    }
}

#[test]
fn what_may_be_repeated_under_a_key_and_what_is_limited_say_so() {
    let document = document();
    for (name, operation) in operations(&document) {
        let takes_key = operation["parameters"].to_string().contains("Idempotency-Key");
        let responses = &operation["responses"];
        if takes_key {
            for status in ["400", "401", "409", "422", "429", "503"] {
                assert!(responses[status].is_object(), "{name} does not tell of {status}");
            }
        }
        let is_limited = responses["429"].is_object();
        let told =
            responses.as_object().unwrap().iter().find(|(status, _)| status.starts_with('2'));
        let tells = told.is_some_and(|(_, answer)| answer["headers"]["RateLimit"].is_object());
        assert_eq!(is_limited, tells, "{name}: RateLimit");
    }
}

fn references<'a>(node: &'a Value, found: &mut BTreeSet<&'a str>) {
    match node {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_no_component_is_idle() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let place = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{reference} leads nowhere");
    }
    for part in ["schemas", "responses", "headers"] {
        for name in document["components"][part].as_object().unwrap().keys() {
            let reference = format!("#/components/{part}/{name}");
            assert!(found.contains(reference.as_str()), "nothing refers to {reference}");
        }
    }
}

#[test]
fn every_example_fits_its_schema() {
    let document = document();
    let mut seen = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let whole = json!({
            "$ref": format!("#/components/schemas/{name}"),
            "components": document["components"],
        });
        let validator = jsonschema::validator_for(&whole).unwrap();
        for example in schema["examples"].as_array().into_iter().flatten() {
            let faults: Vec<_> = validator.iter_errors(example).map(|e| e.to_string()).collect();
            assert!(faults.is_empty(), "{name}: {faults:?}");
            seen += 1;
        }
    }
    assert!(seen > 8, "{seen} examples");
}

#[test]
fn the_codes_that_a_back_end_may_close_with_are_documented() {
    let code = &document()["components"]["schemas"]["Ending"]["properties"]["code"];
    assert_eq!((&code["minimum"], &code["maximum"]), (&json!(3_000), &json!(4_999)), "{code}");
}

#[test]
fn the_router_has_no_route_that_is_not_described() {
    let text = include_str!("../router.rs").replace(".merge(pages())", "");
    let mut plain: Vec<_> = text.split(".route(").skip(1).collect();
    plain.extend(text.split(".route_service(").skip(1));
    for rest in plain {
        let path = rest.trim_start().trim_start_matches('"').split('"').next().unwrap_or_default();
        let path = if path.starts_with('/') { path } else { "" };
        assert!(
            PAGES.contains(&path),
            "{path:?} is routed without routes!(…), so that /openapi.json would not know it"
        );
    }
    for way in ["nest", "nest_service", "fallback_service", "merge"] {
        assert!(!text.contains(&format!(".{way}(")), "{way} can hide routes");
    }
}

#[tokio::test]
async fn the_document_is_the_same_each_time_and_says_so() {
    let (one, other) = (Document::of(&router::described()), Document::of(&router::described()));
    assert_eq!(one.body, other.body);
    assert_eq!(one.tag, other.tag);
    let read: Value = serde_json::from_slice(&one.body).unwrap();
    assert_eq!(read["openapi"], "3.1.0");
    assert_eq!(read["info"]["version"], env!("CARGO_PKG_VERSION"));
}
