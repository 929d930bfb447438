//! The pure types of Carillon: identities, channels, events, publications and
//! the errors that callers see. Nothing here does I/O or reads the clock.

pub mod account;
pub mod announcement;
pub mod channel;
pub mod event;
pub mod ids;
pub mod namespace;
pub mod post;
pub mod problem;
pub mod publication;
pub mod time;
