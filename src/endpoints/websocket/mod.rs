//! The Centrifugal client protocol over WebSocket.

mod channel_commands;
mod connect;
mod directives;
mod publish;
mod rpc;
pub(super) mod session;
mod subscribe;
mod tokens;
mod traces;
pub mod upgrade;
