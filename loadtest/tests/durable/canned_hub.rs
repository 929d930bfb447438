//! As much of a hub as `durable` asks of: it remembers what is liked, and counts.

use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Events that make one commit.
pub const EVENTS_A_COMMIT: u64 = 4;

/// What happened.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen {
    /// Connections that were taken.
    pub connections: u64,
    /// Events.
    pub committed: u64,
    /// Events that the last look at the counts was told of.
    pub projected: u64,
    /// Publications that were refused.
    pub refused: u64,
    /// Likes, and likes taken back, that changed something.
    pub likes: u64,
    /// Likes, and likes taken back, that changed nothing.
    pub unchanged: u64,
    /// Comments.
    pub comments: u64,
}

#[derive(Default)]
struct State {
    seen: Seen,
    refuse_every: Option<u64>,
    publications: u64,
    ids: u64,
    liked: HashSet<(String, String)>,
}

/// A hub that runs until the test ends.
pub struct CannedHub {
    url: String,
    state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    path: String,
    token: String,
    body: Value,
}

impl CannedHub {
    /// One that takes everything.
    pub fn start() -> Self {
        Self::with(State::default())
    }

    /// One that refuses some publications.
    pub fn refusing_every(count: u64) -> Self {
        Self::with(State { refuse_every: Some(count), ..State::default() })
    }

    fn with(state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Self { url, state }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What happened so far.
    pub fn counts(&self) -> Seen {
        self.state.lock().unwrap().seen
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    state.lock().unwrap().seen.connections += 1;
    stream.set_nodelay(true).unwrap();
    let mut answers = stream.try_clone().unwrap();
    let mut requests = BufReader::new(stream);
    while let Some(request) = read(&mut requests) {
        let (status, body) = state.lock().unwrap().answer(&request);
        let head = format!("HTTP/1.1 {status} Text\r\nContent-Length: {}\r\n\r\n", body.len());
        // The program may be gone with what it had asked for.
        if answers.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

fn read(requests: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    requests.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut length, mut token) = (0, String::new());
    loop {
        let mut line = String::new();
        requests.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().unwrap(),
            Some(("Authorization", value)) => token = value.to_owned(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    requests.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Some(Request { method, path, token, body })
}

impl State {
    fn answer(&mut self, request: &Request) -> (u16, String) {
        let Request { method, path, token, body } = request;
        let parts: Vec<_> = path.split('/').skip(1).collect();
        match (method.as_str(), parts.as_slice()) {
            ("GET", ["metrics"]) => (200, self.metrics()),
            ("POST", ["api", "publish"]) => (200, self.publish().to_string()),
            ("POST", ["api", "batch"]) => {
                let commands = body["commands"].as_array().unwrap();
                let reply = |_| match self.publish() {
                    refused if refused.get("error").is_some() => refused,
                    _ => json!({"publish": {}}),
                };
                let replies: Vec<_> = commands.iter().map(reply).collect();
                (200, json!({"replies": replies}).to_string())
            }
            ("POST", ["v1", "users" | "sessions" | "posts"]) => {
                self.ids += 1;
                let (id, token) = (self.ids, format!("cs_{}", self.ids));
                self.seen.committed += u64::from(path.ends_with("posts"));
                let id = if path.ends_with("posts") { json!(id.to_string()) } else { json!(id) };
                (201, json!({"id": id, "token": token, "user": {"id": id}}).to_string())
            }
            ("POST", ["v1", "posts", _, "comments"]) => {
                self.seen.committed += 1;
                self.seen.comments += 1;
                (201, "{}".to_owned())
            }
            ("PUT" | "DELETE", ["v1", "posts", post, "like"]) => {
                let pair = ((*post).to_owned(), token.clone());
                let changed = match method.as_str() {
                    "PUT" => self.liked.insert(pair),
                    _ => self.liked.remove(&pair),
                };
                self.seen.committed += u64::from(changed);
                self.seen.likes += u64::from(changed);
                self.seen.unchanged += u64::from(!changed);
                (200, "{\"likes\":1}".to_owned())
            }
            _ => (404, "{}".to_owned()),
        }
    }

    fn publish(&mut self) -> Value {
        self.publications += 1;
        if self.refuse_every.is_some_and(|every| self.publications.is_multiple_of(every)) {
            self.seen.refused += 1;
            return json!({"error": {"code": 100, "message": "internal server error"}});
        }
        self.seen.committed += 1;
        json!({"result": {}})
    }

    fn metrics(&mut self) -> String {
        let Seen { committed, projected, .. } = self.seen;
        self.seen.projected = committed;
        format!(
            "carillon_commits_total {}\ncarillon_committed_events_total {committed}\n\
             carillon_projected_events_total {projected}\ncarillon_set_aside_events_total 0\n# EOF\n",
            committed / EVENTS_A_COMMIT
        )
    }
}
