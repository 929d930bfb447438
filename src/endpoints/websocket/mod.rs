//! The Centrifugal client protocol over WebSocket.

mod channel_commands;
mod connect;
mod rpc;
pub(super) mod session;
mod subscribe;
mod tokens;
pub mod upgrade;
