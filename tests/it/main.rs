//! Black-box tests: they start the built program as a process of its own and speak to it as a user would, over
//! HTTP, WebSocket and bare TCP. Nothing here looks inside the server; names and codes are those of its contract.
#![allow(clippy::unwrap_used)]

mod contract;
mod fault;
mod journey;
mod nodes;
mod support;
