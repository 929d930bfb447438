//! Failpoints: named places at which a test stops the process, to kill it there.

/// Knows at which place to stop. In builds without debug assertions no place stops.
#[derive(Clone, Debug, Default)]
pub struct Failpoints {
    stop_at: Option<String>,
}

impl Failpoints {
    /// Stops at the place named `stop_at`, if one is named.
    pub fn new(stop_at: Option<String>) -> Self {
        Self { stop_at: stop_at.filter(|_| cfg!(debug_assertions)) }
    }

    /// A place. Whoever comes here while it is the one to stop at never goes on.
    pub async fn reach(&self, place: &str) {
        if self.stop_at.as_deref() == Some(place) {
            eprintln!("halted at {place}");
            std::future::pending::<()>().await;
        }
    }
}
