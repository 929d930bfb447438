//! The pure types of Carillon: identities, channels, events, publications and
//! the errors that callers see. Nothing here does I/O or reads the clock.

pub mod account;
pub mod announcement;
pub mod channel;
pub mod comment;
pub mod event;
pub mod ids;
pub mod mark;
pub mod namespace;
pub mod notification;
pub mod page;
pub mod post;
pub mod preferences;
pub mod problem;
pub mod publication;
pub mod time;
pub mod trending;
