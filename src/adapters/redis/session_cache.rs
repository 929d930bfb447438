//! Sessions of late, for all nodes. This file uses `redis`, as all adapters of Redis do but the broker.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;

use super::commands::RedisCommands;
use crate::domain::account::{Plan, Role, Session, SignedIn, TokenHash, User};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::ports::StoreError;
use crate::ports::session_cache::{CachedSession, SessionCache};

/// Keeps each session as a hash under `session:<hash of its token, in hexadecimal>`, which expires.
pub struct RedisSessionCache {
    commands: Arc<RedisCommands>,
    recall: Script,
    remember: Script,
    forget: Script,
}

impl RedisSessionCache {
    /// Keeps sessions where `commands` lead.
    pub fn new(commands: Arc<RedisCommands>) -> Self {
        Self {
            commands,
            recall: Script::new(include_str!("scripts/recall.lua")),
            remember: Script::new(include_str!("scripts/remember.lua")),
            forget: Script::new(include_str!("scripts/forget.lua")),
        }
    }

    fn key(&self, token: &TokenHash) -> [String; 1] {
        let mut name = "session:".to_owned();
        for byte in token.0 {
            // Writing to a text cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        [self.commands.keys.alone(&name)]
    }
}

#[async_trait]
impl SessionCache for RedisSessionCache {
    async fn get(&self, token: &TokenHash) -> Result<Option<CachedSession>, StoreError> {
        let none: [&str; 0] = [];
        let fields: HashMap<String, String> =
            self.commands.run(&self.recall, &self.key(token), &none).await?;
        Ok(read(*token, &fields))
    }

    async fn put(&self, session: &CachedSession, ttl: Duration) -> Result<(), StoreError> {
        let mut arguments = vec![ttl.as_millis().max(1).to_string()];
        for (name, value) in fields(session) {
            arguments.extend([name.to_owned(), value]);
        }
        let key = self.key(&session.signed_in.session.token);
        self.commands.run(&self.remember, &key, &arguments).await
    }

    async fn remove(&self, token: &TokenHash) -> Result<(), StoreError> {
        let none: [&str; 0] = [];
        self.commands.run(&self.forget, &self.key(token), &none).await
    }
}

/// What is kept of a session. Whether the account is active is not: only of those that are is anything kept.
fn fields(cached: &CachedSession) -> [(&'static str, String); 14] {
    let SignedIn { session, user } = &cached.signed_in;
    [
        ("known", cached.known.to_string()),
        ("user_id", user.id.to_string()),
        ("opened_at", session.created_at.as_millis().to_string()),
        ("expires_at", session.expires_at.as_millis().to_string()),
        ("user_agent", session.user_agent.clone()),
        ("ip", session.ip.clone()),
        ("email", user.email.clone()),
        ("email_verified", user.email_verified.to_string()),
        ("username", user.username.clone()),
        ("first_name", user.first_name.clone()),
        ("last_name", user.last_name.clone()),
        ("role", user.role.as_str().to_owned()),
        ("plan", user.plan.as_str().to_owned()),
        ("registered_at", user.created_at.as_millis().to_string()),
    ]
}

/// The session of a token; `None` if anything is missing or not as [`fields`] wrote it.
fn read(token: TokenHash, fields: &HashMap<String, String>) -> Option<CachedSession> {
    let text = |name: &str| fields.get(name).cloned();
    let time = |name: &str| Some(Timestamp::from_millis(fields.get(name)?.parse().ok()?));
    let id = UserId(fields.get("user_id")?.parse().ok()?);
    let session = Session {
        token,
        user: id,
        created_at: time("opened_at")?,
        expires_at: time("expires_at")?,
        user_agent: text("user_agent")?,
        ip: text("ip")?,
    };
    let user = User {
        id,
        email: text("email")?,
        username: text("username")?,
        first_name: text("first_name")?,
        last_name: text("last_name")?,
        is_active: true,
        email_verified: fields.get("email_verified")?.parse().ok()?,
        role: Role::from_stored(fields.get("role")?),
        plan: Plan::from_stored(fields.get("plan")?),
        created_at: time("registered_at")?,
    };
    let known = fields.get("known")?.parse().ok()?;
    Some(CachedSession { signed_in: SignedIn { session, user }, known })
}
