//! What can be asked of Carillon: one file a command. A command decides, writes
//! the content document, and produces one event.

pub mod committer;
pub mod end_session;
pub mod issue_ticket;
pub mod mint;
pub mod once;
pub mod open_session;
pub mod passwords;
pub mod publish;
pub mod publish_post;
pub mod register_user;
pub mod tokens;
pub mod validation;
