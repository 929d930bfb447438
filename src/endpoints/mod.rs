//! The edges: HTTP and WebSocket. They parse and check shape and size, and know
//! no rule of the product. [`router`] is the table of contents.

pub mod http;
pub mod listener;
pub mod reply;
pub mod request;
pub mod router;
pub mod services;
pub mod sse;
pub mod websocket;
