//! What is written, request by request, and what counts as acknowledged.

use crate::whole_path::http::{self, Credential, Node};
use crate::whole_path::setup::{self, Account};
use crate::whole_path::writers::Outcome;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::HashMap;

/// A request on its way to a node.
#[derive(Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which node.
    pub node: usize,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// How many writes a request was, by what became of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Those that are durable.
    pub acknowledged: u64,
    /// Those that are not, or may not be.
    pub refused: u64,
}

/// Something to write.
pub trait Workload {
    /// Request `number`, counted from 0 without gaps; `None` while, or because, there is nothing to ask.
    fn next(&mut self, number: usize) -> Option<Ask>;

    /// Takes the answer to a request.
    fn answered(&mut self, outcome: &Outcome) -> Told;
}

/// Whether an answer is a success. The server API says 200 even to what it refuses.
pub fn is_success(outcome: &Outcome) -> bool {
    let status = outcome.status.unwrap_or(0);
    (200..300).contains(&status) && !outcome.body.starts_with(b"{\"error\"")
}

/// The answer to a request that was one write.
pub fn single(success: bool) -> Told {
    Told { acknowledged: success.into(), refused: (!success).into() }
}

/// Where and what the server API is asked to publish.
#[derive(Debug, Clone)]
pub struct Publishing {
    /// The nodes, asked in turn.
    pub nodes: Vec<Node>,
    /// The key of the server API.
    pub api_key: String,
    /// The channels, published to in turn.
    pub channels: Vec<String>,
    /// Length of the text that is published, in bytes.
    pub payload_bytes: usize,
}

impl Publishing {
    /// Channels of a namespace that nobody else publishes to.
    pub fn channels(namespace: &str, run: &str, count: usize) -> Vec<String> {
        (0..count).map(|number| format!("{namespace}:{run}-{number}")).collect()
    }

    fn publication(&self, number: usize) -> Value {
        let channel = &self.channels[number % self.channels.len()];
        json!({"channel": channel, "data": payload(number, self.payload_bytes)})
    }

    fn ask(&self, number: usize, path: &str, body: &Value) -> Ask {
        let node = number % self.nodes.len();
        let who = Credential::ApiKey(&self.api_key);
        Ask { node, bytes: http::request(&self.nodes[node], "POST", path, who, Some(body)) }
    }
}

/// What is published: an object with a text of this length, and with the number.
pub fn payload(number: usize, bytes: usize) -> Value {
    json!({"number": number, "text": "x".repeat(bytes)})
}

/// One publication a request.
pub struct Publications(pub Publishing);

impl Workload for Publications {
    fn next(&mut self, number: usize) -> Option<Ask> {
        let body = self.0.publication(number);
        Some(self.0.ask(number, "/api/publish", &body))
    }

    fn answered(&mut self, outcome: &Outcome) -> Told {
        single(is_success(outcome))
    }
}

/// Many publications a request, carried out at once.
pub struct Batches {
    publishing: Publishing,
    batch: usize,
    /// Publications that are still to be asked for.
    left: usize,
    /// How many were in each request that is on its way.
    asked: HashMap<usize, usize>,
}

impl Batches {
    /// Publications in requests of `batch`, `total` of them.
    pub fn new(publishing: Publishing, batch: usize, total: usize) -> Self {
        Self { publishing, batch, left: total, asked: HashMap::new() }
    }
}

impl Workload for Batches {
    fn next(&mut self, number: usize) -> Option<Ask> {
        let count = self.batch.min(self.left);
        if count == 0 {
            return None;
        }
        self.left -= count;
        self.asked.insert(number, count);
        let first = number * self.batch;
        let commands = (first..first + count)
            .map(|number| json!({"publish": self.publishing.publication(number)}));
        let body = json!({"commands": commands.collect::<Vec<_>>(), "parallel": true});
        Some(self.publishing.ask(number, "/api/batch", &body))
    }

    fn answered(&mut self, outcome: &Outcome) -> Told {
        let asked = self.asked.remove(&outcome.number).unwrap_or_default() as u64;
        let acknowledged = if is_success(outcome) { published(&outcome.body) } else { 0 };
        Told { acknowledged, refused: asked.saturating_sub(acknowledged) }
    }
}

/// How many commands of a batch were answered with a publication.
fn published(body: &[u8]) -> u64 {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else { return 0 };
    let replies = answer["replies"].as_array().map_or(&[][..], Vec::as_slice);
    replies.iter().filter(|reply| reply.get("publish").is_some()).count() as u64
}

/// Makes the posts that are liked and commented on, post `p` by account `p % accounts`.
pub struct Posts<'a> {
    nodes: &'a [Node],
    accounts: &'a [Account],
    /// The ids, by number, as far as they are known.
    ids: Vec<Option<String>>,
}

impl<'a> Posts<'a> {
    /// So many posts.
    pub fn new(nodes: &'a [Node], accounts: &'a [Account], count: usize) -> Self {
        Self { nodes, accounts, ids: vec![None; count] }
    }

    /// The ids of all posts.
    ///
    /// # Errors
    /// When one was not made.
    pub fn into_ids(self) -> Result<Vec<String>> {
        self.ids.into_iter().collect::<Option<_>>().context("a node refused a post")
    }
}

impl Workload for Posts<'_> {
    fn next(&mut self, number: usize) -> Option<Ask> {
        let account = &self.accounts[number % self.accounts.len()];
        if number >= self.ids.len() {
            return None;
        }
        let node = number % self.nodes.len();
        let body = setup::post(&format!("Post {number} of a load"));
        let who = Credential::Bearer(&account.token);
        let bytes = http::request(&self.nodes[node], "POST", "/v1/posts", who, Some(&body));
        Some(Ask { node, bytes })
    }

    fn answered(&mut self, outcome: &Outcome) -> Told {
        let body: Value = serde_json::from_slice(&outcome.body).unwrap_or_default();
        let id = body["id"].as_str().filter(|_| is_success(outcome)).map(str::to_owned);
        let told = single(id.is_some());
        self.ids[outcome.number] = id;
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publishing() -> Publishing {
        let node = |port| Node::parse(&format!("http://127.0.0.1:{port}")).unwrap();
        Publishing {
            nodes: vec![node(1), node(2)],
            api_key: "k".to_owned(),
            channels: Publishing::channels("bench", "run", 3),
            payload_bytes: 4,
        }
    }

    fn outcome(number: usize, status: u16, body: &str) -> Outcome {
        Outcome { number, status: Some(status), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn nodes_and_channels_take_turns() {
        let mut publications = Publications(publishing());
        let asked: Vec<_> = (0..4).filter_map(|number| publications.next(number)).collect();
        let nodes: Vec<_> = asked.iter().map(|ask| ask.node).collect();
        assert_eq!(nodes, [0, 1, 0, 1]);
        let last = String::from_utf8(asked[2].bytes.clone()).unwrap();
        assert!(last.starts_with("POST /api/publish HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"), "{last}");
        let body: Value = serde_json::from_str(last.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        let wanted = json!({"channel": "bench:run-2", "data": {"number": 2, "text": "xxxx"}});
        assert_eq!(body, wanted);
    }

    #[test]
    fn an_error_is_no_success_whatever_its_status() {
        let mut publications = Publications(publishing());
        let ok = publications.answered(&outcome(0, 200, "{\"result\":{}}"));
        assert_eq!(ok, Told { acknowledged: 1, refused: 0 });
        for (status, body) in [(200, "{\"error\":{\"code\":102}}"), (503, "{}"), (302, "{}")] {
            let told = publications.answered(&outcome(0, status, body));
            assert_eq!(told, Told { acknowledged: 0, refused: 1 }, "{status} {body}");
        }
        let gone = Outcome { number: 0, status: None, body: Vec::new() };
        assert_eq!(publications.answered(&gone).refused, 1);
    }

    #[test]
    fn batches_count_what_was_published_of_them() {
        let mut batches = Batches::new(publishing(), 4, 6);
        let first = batches.next(0).unwrap();
        let text = String::from_utf8(first.bytes).unwrap();
        assert_eq!(text.matches("\"publish\"").count(), 4);
        assert!(batches.next(1).is_some(), "two are left");
        assert_eq!(batches.next(2), None);
        let some =
            "{\"replies\":[{\"publish\":{}},{\"error\":{}},{\"publish\":{}},{\"publish\":{}}]}";
        assert_eq!(batches.answered(&outcome(0, 200, some)), Told { acknowledged: 3, refused: 1 });
        assert_eq!(batches.answered(&outcome(1, 413, "")), Told { acknowledged: 0, refused: 2 });
    }
}
