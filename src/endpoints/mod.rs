//! The edges: HTTP and WebSocket. They parse and check shape and size, and know
//! no rule of the product. [`router`] is the table of contents.

pub mod account_watch;
pub mod action;
pub mod asyncapi;
pub mod console;
pub mod http;
pub mod limited;
pub mod listener;
pub mod openapi;
pub mod reply;
pub mod request;
pub mod router;
pub mod services;
pub mod streams;
pub mod websocket;
