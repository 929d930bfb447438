//! Options that scenarios have in common.

use crate::connection::Target;
use crate::report::{write_json, write_text};
use anyhow::Result;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// From how many addresses connections are made unless told otherwise.
const SOURCE_ADDRESSES: u8 = 8;

/// The server under load, and how it is reached.
#[derive(Args, Debug, Clone)]
pub struct Destination {
    /// WebSocket address of the server.
    #[arg(long)]
    pub url: String,
    /// Connection token; none for a server that lets anyone in.
    #[arg(long)]
    pub token: Option<String>,
    /// How many addresses of 127.0.0.0/24 to connect from.
    #[arg(long, default_value_t = SOURCE_ADDRESSES)]
    pub source_addresses: u8,
}

impl Destination {
    /// A server that lets anyone in.
    pub fn open(url: &str) -> Self {
        Self { url: url.to_owned(), token: None, source_addresses: SOURCE_ADDRESSES }
    }

    /// Where connections go.
    ///
    /// # Errors
    /// When the address is none or its host is unknown.
    pub fn target(&self) -> Result<Target> {
        Target::parse(&self.url, self.token.clone())
    }
}

/// Where the figures go besides the terminal.
#[derive(Args, Debug, Clone, Default)]
pub struct Output {
    /// Also write the report to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Also draw the figures into this file: latency by percentile, or rate against 99th percentile of a sweep.
    #[arg(long)]
    pub svg: Option<PathBuf>,
}

impl Output {
    /// Writes the files that were asked for.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, report: &impl Serialize, svg: impl FnOnce() -> String) -> Result<()> {
        if let Some(path) = &self.json {
            write_json(path, report)?;
        }
        if let Some(path) = &self.svg {
            write_text(path, &svg())?;
        }
        Ok(())
    }
}
