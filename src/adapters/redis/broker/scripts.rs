//! The scripts of a channel. Each is atomic; all keys stand under the channel's hash tag, and the
//! first line makes any other key an error.

use fred::util::sha1_hash;

/// What a script begins with.
macro_rules! script {
    ($body:literal) => {
        Script::new(concat!("#!lua\n", include_str!("scripts/channel.lua"), include_str!($body)))
    };
}

/// A script with its name on the server.
pub(super) struct Script {
    /// The program.
    pub(super) text: &'static str,
    /// Its SHA-1, by which the server knows it.
    pub(super) sha: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, sha: sha1_hash(text) }
    }
}

/// The scripts; each file says what it takes and returns.
pub(super) struct Scripts {
    pub(super) publish: Script,
    pub(super) supersede: Script,
    pub(super) history: Script,
    pub(super) witness: Script,
    pub(super) begin: Script,
    pub(super) clear: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            publish: script!("scripts/publish.lua"),
            supersede: script!("scripts/supersede.lua"),
            history: script!("scripts/history.lua"),
            witness: script!("scripts/witness.lua"),
            begin: script!("scripts/begin.lua"),
            clear: script!("scripts/clear.lua"),
        }
    }
}
