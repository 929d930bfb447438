//! What the hub says of itself when it is asked. The shards count without any lock; nothing is shared with them.

use std::collections::BTreeMap;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::PREFIX;

/// The counts of all shards, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubSample {
    /// Connections now.
    pub connections: u64,
    /// Connections whose socket takes nothing now.
    pub blocked: u64,
    /// Bytes that wait for sockets now.
    pub queued_bytes: u64,
    /// Subscriptions of connections now.
    pub subscriptions: u64,
    /// Channels that the node is subscribed to now.
    pub channels: u64,
    /// Publications queued for a connection.
    pub deliveries: u64,
    /// Writes to sockets.
    pub writes: u64,
    /// Connections that ended, by the code of the end.
    pub closes: BTreeMap<u16, u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: u16,
}

impl HubSample {
    /// A registry that holds nothing else.
    pub(super) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix(PREFIX);
        for (name, help, value) in [
            ("connections", "Connections that are open", self.connections),
            ("blocked_connections", "Connections whose socket takes nothing now", self.blocked),
            (
                "queued_bytes",
                "Bytes that wait for sockets that take nothing now",
                self.queued_bytes,
            ),
            ("subscriptions", "Subscriptions of connections", self.subscriptions),
            ("channels", "Channels that the node is subscribed to", self.channels),
        ] {
            registry.register(name, help, ConstGauge::new(value));
        }
        let help = "Publications that were queued for a connection";
        registry.register("deliveries", help, ConstCounter::new(self.deliveries));
        let help = "Writes to sockets; one may hold many publications";
        registry.register("socket_writes", help, ConstCounter::new(self.writes));
        let closes = Family::<CodeLabels, Counter>::default();
        for (code, count) in &self.closes {
            closes.get_or_create(&CodeLabels { code: *code }).inc_by(*count);
        }
        let help = "Connections that ended, by the code of the end; 3000 is one without a goodbye";
        registry.register("closes", help, closes);
        registry
    }
}
