//! Reads what strace writes: who called what, on which file, from when to when.

use std::collections::HashMap;

/// One system call of the traced server. Its times are places in the trace, which is in the order of what happened.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Its name, such as `fdatasync`.
    pub(crate) name: String,
    /// Everything between the parentheses, and the result.
    pub(crate) rest: String,
    /// The line at which it began.
    pub(crate) began: usize,
    /// The line at which it returned.
    pub(crate) ended: usize,
}

impl Call {
    /// Whether it made the named kind of file durable: `part` must be in the file's name.
    pub(crate) fn syncs(&self, part: &str) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync") && self.file().contains(part)
    }

    /// The path of its first argument's descriptor, as `strace -y` shows it.
    pub(crate) fn file(&self) -> &str {
        let from = self.rest.find('<').map_or(0, |at| at + 1);
        let until = self.rest[from..].find('>');
        until.map_or("", |until| &self.rest[from..from + until])
    }
}

/// Splits `PID name(rest` or `PID <... name resumed>rest`.
fn split(line: &str) -> Option<(&str, &str, &str, bool)> {
    let (pid, call) = line.split_once(char::is_whitespace)?;
    let call = call.trim_start();
    if let Some(call) = call.strip_prefix("<... ") {
        let (name, rest) = call.split_once(" resumed>")?;
        return Some((pid, name, rest, true));
    }
    let (name, rest) = call.split_once('(')?;
    Some((pid, name, rest, false))
}

/// All calls of a trace that have returned, by the order in which they returned.
pub(crate) fn calls(trace: &str) -> Vec<Call> {
    let mut open: HashMap<&str, Call> = HashMap::new();
    let mut calls = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((pid, name, rest, resumed)) = split(line) else {
            continue;
        };
        if resumed {
            if let Some(mut call) = open.remove(pid) {
                call.rest.push_str(rest);
                call.ended = at;
                calls.push(call);
            }
            continue;
        }
        let call = Call { name: name.to_owned(), rest: rest.to_owned(), began: at, ended: at };
        if line.ends_with("<unfinished ...>") {
            open.insert(pid, call);
        } else {
            calls.push(call);
        }
    }
    calls
}

#[test]
fn a_trace_is_read_with_its_interrupted_calls() {
    let trace = "7 recvfrom(9<socket:[1]>, \"POST /v1/posts\", 4096, 0) = 14\n\
                 8 fdatasync(5</d/events.db-wal> <unfinished ...>\n\
                 7 write(3</d/other>, \"x\", 1) = 1\n\
                 8 <... fdatasync resumed>) = 0\n\
                 7 +++ exited with 0 +++\n";
    let calls = calls(trace);
    assert_eq!(calls.len(), 3);
    assert!(calls[2].syncs("events.db-wal"), "{:?}", calls[2]);
    assert_eq!((calls[2].began, calls[2].ended), (1, 3));
    assert_eq!(calls[0].file(), "socket:[1]");
}
