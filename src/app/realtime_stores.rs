//! Opens what nodes share while they run: in this process for a node alone, in Redis for several.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::AppError;
use crate::adapters::memory::broker::MemoryBroker;
use crate::adapters::memory::presence::MemoryPresence;
use crate::adapters::memory::rate_limits::MemoryRateLimits;
use crate::adapters::memory::session_cache::MemorySessionCache;
use crate::adapters::memory::trending::MemoryTrending;
use crate::adapters::redis::{
    RedisBroker, RedisCommands, RedisOptions, RedisPresence, RedisRateLimits, RedisSessionCache,
    RedisTrending, Surroundings,
};
use crate::adapters::system::SystemEntropy;
use crate::domain::trending::Weights;
use crate::ports::audit::trending::ClearTrending;
use crate::ports::broker::{Broker, Shortcut};
use crate::ports::presence::Presence;
use crate::ports::rate_limits::RateLimits;
use crate::ports::session_cache::SessionCache;
use crate::ports::trending::Trending;
use crate::relay::inbound::Incoming;
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
    pub(super) session_cache: Arc<dyn SessionCache>,
    /// What the broker brings to this node.
    pub(super) incoming: Incoming,
}

/// Opens them.
pub(super) async fn open(
    settings: &Settings,
    surroundings: Surroundings,
) -> Result<RealtimePorts, AppError> {
    let (sink, deliveries) = mpsc::channel(DELIVERY_QUEUE_MAX);
    let (told, lapses) = mpsc::channel(LAPSE_QUEUE_MAX);
    let shortcut = Arc::new(Shortcut::default());
    let incoming = Incoming { deliveries, lapses, shortcut: Arc::clone(&shortcut) };
    let weights = weights(&settings.trending.weights);
    let alone = Arc::new(MemoryRateLimits::new(Arc::clone(&surroundings.clock)));
    let StoreUrl::Redis(url) = &settings.realtime.url else {
        let Surroundings { ledger, present, clock, .. } = surroundings;
        let broker = MemoryBroker::new(ledger, present, clock, sink).await?;
        let broker = broker.going_by(shortcut);
        let broker = broker.holding_at_most(settings.realtime.history_max_bytes);
        return Ok(RealtimePorts {
            broker: Arc::new(broker),
            presence: Arc::new(MemoryPresence::default()),
            trending: Arc::new(MemoryTrending::new(weights)),
            rate_limits: alone,
            session_cache: Arc::new(MemorySessionCache::default()),
            incoming,
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
        session_cache: Arc::new(RedisSessionCache::new(Arc::clone(&commands))),
        rate_limits: Arc::new(RedisRateLimits::new(commands, alone)),
        incoming,
    })
}

/// The trending tallies, to be cleared.
pub(super) async fn tallies_of(settings: &Settings) -> Result<Arc<dyn ClearTrending>, AppError> {
    let weights = weights(&settings.trending.weights);
    let StoreUrl::Redis(url) = &settings.realtime.url else {
        return Ok(Arc::new(MemoryTrending::new(weights)));
    };
    let commands = RedisCommands::connect(&RedisOptions::of(&settings.realtime, url)).await?;
    Ok(Arc::new(RedisTrending::new(Arc::new(commands), weights, &SystemEntropy)))
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
