//! What there is to say of what a node keeps in its memory.

use std::time::Duration;

use async_trait::async_trait;

use crate::ports::StoreError;
use crate::ports::inspection::{Finding, Inspect, Inspection, SchemaState};

/// Looks at nothing: the memory of a node cannot be seen from outside, and ends with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryInspector;

#[async_trait]
impl Inspect for MemoryInspector {
    fn is_embedded(&self) -> bool {
        true
    }

    async fn inspect(&self) -> Result<Inspection, StoreError> {
        let detail = "publications stay within one node; histories are made again from the log";
        Ok(Inspection {
            product: "memory".to_owned(),
            version: String::new(),
            is_tested: true,
            latency: Duration::ZERO,
            clock_ahead_ms: None,
            schema: SchemaState::Unneeded,
            findings: vec![Finding::note("nodes", detail)],
        })
    }

    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}
