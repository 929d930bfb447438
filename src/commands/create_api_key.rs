//! Makes a key of the server API.

use std::sync::Arc;

use super::tokens;
use super::validation::Faults;
use crate::domain::account::TokenHash;
use crate::domain::problem::Problem;
use crate::ports::account_control::AccountControl;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;

/// What a created key begins with.
pub const API_KEY_PREFIX: &str = "cak_";

/// The command.
pub struct CreateApiKey {
    /// Keeps the key's hash.
    pub control: Arc<dyn AccountControl>,
    /// Dates it.
    pub clock: Arc<dyn Clock>,
    /// Makes it.
    pub entropy: Arc<dyn Entropy>,
}

impl CreateApiKey {
    /// A new key, which is told once and kept nowhere. `name` says to people what it is for.
    pub async fn run(&self, name: &str) -> Result<String, Problem> {
        let name = name.trim();
        let mut faults = Faults::default();
        faults.check_length("name", name, 1, 100);
        faults.into_result()?;
        let key = tokens::mint(API_KEY_PREFIX, &*self.entropy);
        self.control.create_api_key(&TokenHash::of(&key), name, self.clock.now()).await?;
        Ok(key)
    }
}
