//! Opens what nodes share while they run: in this process for a node alone, in Redis for several.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::AppError;
use crate::adapters::memory::broker::MemoryBroker;
use crate::adapters::memory::presence::MemoryPresence;
use crate::adapters::memory::rate_limits::MemoryRateLimits;
use crate::adapters::memory::trending::MemoryTrending;
use crate::adapters::redis::{
    RedisBroker, RedisCommands, RedisOptions, RedisPresence, RedisRateLimits, RedisTrending,
    Surroundings,
};
use crate::domain::publication::Delivery;
use crate::domain::trending::Weights;
use crate::ports::broker::{Broker, Lapse};
use crate::ports::presence::Presence;
use crate::ports::rate_limits::RateLimits;
use crate::ports::trending::Trending;
use crate::settings::{Settings, StoreUrl, TrendingWeights};

/// Deliveries that may wait between the broker and the hub.
const DELIVERY_QUEUE_MAX: usize = 4_096;
/// Lapses that may wait; what they are about is kept until there is room.
const LAPSE_QUEUE_MAX: usize = 16;

/// The ports, and what the broker tells this node.
pub(super) struct RealtimePorts {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) presence: Arc<dyn Presence>,
    pub(super) trending: Arc<dyn Trending>,
    pub(super) rate_limits: Arc<dyn RateLimits>,
    /// What the broker delivers to this node, until the hub takes it.
    pub(super) deliveries: mpsc::Receiver<Delivery>,
    /// Where deliveries were interrupted.
    pub(super) lapses: mpsc::Receiver<Lapse>,
}

/// Opens them.
pub(super) async fn open(
    settings: &Settings,
    surroundings: Surroundings,
) -> Result<RealtimePorts, AppError> {
    let (sink, deliveries) = mpsc::channel(DELIVERY_QUEUE_MAX);
    let (told, lapses) = mpsc::channel(LAPSE_QUEUE_MAX);
    let weights = weights(&settings.trending.weights);
    let alone = Arc::new(MemoryRateLimits::new(Arc::clone(&surroundings.clock)));
    let StoreUrl::Redis(url) = &settings.realtime.url else {
        let Surroundings { ledger, present, clock, .. } = surroundings;
        let broker = MemoryBroker::new(ledger, present, clock, sink).await?;
        let broker = broker.holding_at_most(settings.realtime.history_max_bytes);
        return Ok(RealtimePorts {
            broker: Arc::new(broker),
            presence: Arc::new(MemoryPresence::default()),
            trending: Arc::new(MemoryTrending::new(weights)),
            rate_limits: alone,
            deliveries,
            lapses,
        });
    };
    let options = RedisOptions::of(&settings.realtime, url);
    let commands = Arc::new(RedisCommands::connect(&options).await?);
    let trending = RedisTrending::new(Arc::clone(&commands), weights, &*surroundings.entropy);
    let broker = RedisBroker::connect(&options, surroundings, sink, told).await?;
    Ok(RealtimePorts {
        broker: Arc::new(broker),
        presence: Arc::new(RedisPresence::new(Arc::clone(&commands))),
        trending: Arc::new(trending),
        rate_limits: Arc::new(RedisRateLimits::new(commands, alone)),
        deliveries,
        lapses,
    })
}

fn weights(settings: &TrendingWeights) -> Weights {
    Weights {
        view: settings.view.into(),
        like: settings.like.into(),
        comment: settings.comment.into(),
        share: settings.share.into(),
        bookmark: settings.bookmark.into(),
    }
}
