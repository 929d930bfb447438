//! Names, shapes and codes that clients rely on.

mod accounts;
mod commands;
mod connect;
mod frames;
mod health;
mod lists;
mod namespaces;
mod posts;
mod segments;
mod server_api;
mod settings;
mod slow_reader;
mod sse;
mod tls;
mod upgrade;
