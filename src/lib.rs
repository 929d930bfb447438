//! Carillon: a self-hosted, durable WebSocket realtime notification hub.
//!
//! The modules stand in the order in which a write passes through them:
//! [`endpoints`] accepts, [`admission`] lets in, [`commands`] decide and commit,
//! the [`relay`] carries to and from the broker, and the [`hub`] fans out.
//! [`projections`] follow beside the request path, and [`queries`] read.

pub mod app;
pub mod settings;

pub mod endpoints;

pub mod admission;
pub mod commands;
pub mod queries;

pub mod projections;
pub mod relay;

pub mod client_protocol;
pub mod hub;

pub mod domain;
pub mod ports;

pub mod adapters;

pub mod lifecycle;
pub mod metrics;
pub mod telemetry;
