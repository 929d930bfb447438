//! Names, shapes and codes that clients rely on.

mod account;
mod accounts;
mod cache;
mod commands;
mod comments;
mod connect;
mod follows;
mod frames;
mod health;
mod interactions;
mod limits;
mod lists;
mod metrics;
mod namespaces;
mod notifications;
mod openapi;
mod posts;
mod posts_edit;
mod refusals;
mod segments;
mod server_api;
mod settings;
mod slow_reader;
mod sse;
mod tls;
mod upgrade;
