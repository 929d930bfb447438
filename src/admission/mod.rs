//! Admission: who is calling, from where, and what they may do, and how often.

pub mod account_news;
pub mod authenticate;
pub mod cached_sessions;
pub mod good_keys;
pub mod known_changes;
pub mod origin;
pub mod permissions;
pub mod rate_limit;
pub mod tokens;
