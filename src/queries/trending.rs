//! The trending lists, as callers ask for them.

use std::sync::Arc;

use crate::domain::problem::Problem;
use crate::domain::trending::{TrendingItem, Window};
use crate::ports::clock::Clock;
use crate::ports::content::Content;
use crate::ports::trending::{Trending, candidates, listed};

/// Lists what most happens to at present.
pub struct TrendingList {
    /// Ranks posts.
    pub trending: Arc<dyn Trending>,
    /// Knows which of them are published, and what they are called.
    pub content: Arc<dyn Content>,
    /// Says what the present is.
    pub clock: Arc<dyn Clock>,
}

impl TrendingList {
    /// The published posts with the highest scores in a window, at most `limit`; with what each
    /// kind of interaction adds if that is to be explained.
    pub async fn run(
        &self,
        window: Window,
        limit: usize,
        explain: bool,
    ) -> Result<Vec<TrendingItem>, Problem> {
        let ranked = candidates(&*self.trending, window, self.clock.now(), limit).await?;
        Ok(listed(&ranked, &*self.content, limit, explain).await?)
    }
}
