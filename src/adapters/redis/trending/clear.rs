//! Forgets the tallies.

use async_trait::async_trait;
use redis::Script;

use crate::domain::trending::Window;
use crate::ports::StoreError;
use crate::ports::audit::trending::ClearTrending;

use super::RedisTrending;

#[async_trait]
impl ClearTrending for RedisTrending {
    /// The lists that were last told are forgotten as well: a list that becomes what it was is told once more.
    async fn clear(&self) -> Result<(), StoreError> {
        let script = Script::new(include_str!("../scripts/clear.lua"));
        let mut keys: Vec<_> =
            ["seen", "forgotten", "whole"].into_iter().map(|name| self.key(name)).collect();
        let mut prefixes = Vec::new();
        for window in Window::ALL {
            keys.push(self.key(&format!("{}:told", window.as_str())));
            keys.push(self.key(&format!("{}:versions", window.as_str())));
            prefixes.push(self.bucket_prefix(window));
        }
        self.commands.run(&script, &keys, &prefixes).await
    }
}
