//! That the document and the code that publishes know of the same types, in the same channels, with the same fields.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::domain::announcement::{
    Audience, Present, body_for, channels_of, is_told, posted_body, recounted_body, trending_body,
};
use crate::domain::event::Event;
use crate::domain::ids::UserId;
use crate::domain::notification::notices_of;
use crate::domain::post::Author;
use crate::domain::publication::PublicationBody;

const POST: &str = "692030d97d3a000001a1b2c3";
const EVENT: &str = "01936a3c-0000-7000-8000-000000000000";
const TIME: &str = "2026-11-21T09:30:00.125Z";

/// One event of each kind, as the log has them.
fn events(document: &Value) -> Vec<Event> {
    let post = &document["components"]["schemas"]["Post"]["examples"][0];
    let author = &post["author"];
    let mark = json!({"post_id": POST, "post_author": 42});
    let comment = json!({
        "comment": {
            "id": POST, "post_id": POST, "parent_id": null, "author": author, "content": "C",
            "created_at": TIME, "edited": false,
        },
        "notify": [{"user": 42, "type": "commented"}],
    });
    let change = json!({"post": post, "former_tags": ["old"]});
    let kinds = [
        ("post.published", post),
        ("post.drafted", post),
        ("post.updated", &change),
        ("post.removed", &change),
        ("post.liked", &mark),
        ("post.unliked", &mark),
        ("post.bookmarked", &mark),
        ("post.unbookmarked", &mark),
        ("post.shared", &mark),
        ("post.viewed", &mark),
        ("post.commented", &comment),
        ("comment.edited", &comment),
        ("comment.removed", &comment),
        ("user.followed", &json!({"user": 42})),
        ("user.unfollowed", &json!({"user": 42})),
        ("notification.read", &json!({"ids": [EVENT], "through": TIME})),
        ("notification.read", &json!({})),
        ("channel.published", &json!({"channels": ["chat:lobby"], "data": {}})),
    ];
    let event = |(kind, data): (&str, &Value)| {
        let event = json!({
            "id": EVENT, "actor": {"id": 7, "username": "bob"}, "time": TIME, "kind": kind, "data": data,
        });
        serde_json::from_str(&event.to_string()).unwrap_or_else(|e| panic!("{kind}: {e}"))
    };
    kinds.into_iter().map(event).collect()
}

/// What is published because of events: the namespace of the channel, and the publication.
fn publications(document: &Value) -> Vec<(String, Arc<PublicationBody>)> {
    let mut found = Vec::new();
    for event in events(document) {
        let notices = notices_of(&event).into_iter();
        let notifications =
            notices.map(|notice| ((notice.recipient, event.id), notice.notification)).collect();
        let present = Present { notifications, ..Present::default() };
        for channel in channels_of(&event) {
            let audience = Audience::of(&channel);
            if matches!(audience, Audience::Nodes | Audience::Bare) {
                continue;
            }
            let namespace = channel.namespace().unwrap().to_owned();
            assert!(is_told(&event, audience, &present), "{event:?}");
            found.push((namespace.clone(), body_for(&event, audience, &present)));
            // Where the log is told again, a notification may be wanted no more.
            found.push((namespace, body_for(&event, audience, &Present::default())));
        }
    }
    let (id, time) = (serde_json::from_value(json!(EVENT)).unwrap(), Timestamp::from_millis(5));
    let notification = serde_json::from_value(json!({
        "id": EVENT, "type": "posted", "actor": {"id": 7, "username": "bob"}, "post_id": POST,
        "created_at": TIME, "read": false, "seen": false,
    }));
    let inbox = InboxState::default();
    let inboxes = [posted_body(&notification.unwrap(), inbox), recounted_body(id, time, inbox)];
    found.extend(inboxes.map(|body| ("notifications".to_owned(), body)));
    let author = Author { id: UserId(7), username: "bob".into(), display_name: "Bob".into() };
    let (post_id, title) = (POST.parse().unwrap(), "A".to_owned());
    let item = TrendingItem { rank: 1, post_id, title, author, score: 1.5, explain: None };
    found.push(("trending".to_owned(), trending_body(id, time, &[item])));
    found
}

#[test]
fn every_publication_is_documented_to_its_last_field_and_nothing_else_is() {
    let document = described();
    let mut published = BTreeSet::new();
    for (channel, body) in publications(&document) {
        let kind = body.tags["type"].clone();
        let reference = &document["channels"][&channel]["messages"][&kind]["$ref"];
        let reference = reference.as_str().unwrap_or_else(|| panic!("{channel} has no {kind}"));
        let message = document.pointer(reference.trim_start_matches('#')).unwrap();
        assert_eq!(message["name"], kind);
        let schema = json!({
            "allOf": [message["payload"]],
            "unevaluatedProperties": false,
            "components": document["components"],
        });
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let data: Value = serde_json::from_str(body.data.get()).unwrap();
        let faults: Vec<_> = validator.iter_errors(&data).map(|e| e.to_string()).collect();
        assert!(faults.is_empty(), "{channel} {kind}: {faults:?} in {data:#}");
        published.insert((channel, kind));
    }
    let channels = document["channels"].as_object().unwrap();
    let documented: BTreeSet<_> = channels
        .iter()
        .flat_map(|(channel, it)| {
            let kinds = it["messages"].as_object().unwrap().keys();
            kinds.map(move |kind| (channel.clone(), kind.clone()))
        })
        .collect();
    assert_eq!(published, documented);
}

#[test]
fn the_events_of_the_test_above_are_of_every_kind() {
    let facts = include_str!("../../domain/event.rs");
    let kinds =
        facts.split("#[serde(rename = \"").skip(1).filter_map(|rest| rest.split('"').next());
    let sampled: BTreeSet<_> =
        events(&described()).iter().map(|event| event.fact.kind().to_owned()).collect();
    assert_eq!(kinds.map(str::to_owned).collect::<BTreeSet<_>>(), sampled);
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(node: &Value, found: &mut Vec<String>) {
        match node {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = described();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50, "{} references", found.len());
    for reference in found {
        let there = document.pointer(reference.trim_start_matches('#')).is_some();
        assert!(there, "{reference} leads nowhere");
    }
}
