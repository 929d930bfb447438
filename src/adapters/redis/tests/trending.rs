//! Trending: its contract, and that all nodes have one list.

use super::*;
use crate::adapters::contract::trending::{WEIGHTS, numbered};
use crate::adapters::contract::{Subject, post_id};
use crate::adapters::memory::trending::MemoryTrending;
use crate::adapters::redis::RedisTrending;
use crate::domain::trending::{Interaction, Tally, Window};
use crate::ports::trending::Trending;

async fn fresh() -> Subject<dyn Trending> {
    let (commands, keep) = commands().await;
    Subject { port: Arc::new(RedisTrending::new(commands, WEIGHTS, &SystemEntropy)), keep }
}

crate::adapters::contract::trending::trending_contract!(fresh);

mod cleared {
    use super::*;
    use crate::adapters::contract::audit_trending::ClearedTrending;

    async fn fresh() -> ClearedTrending {
        let (commands, keep) = commands().await;
        let trending = Arc::new(RedisTrending::new(commands, WEIGHTS, &SystemEntropy));
        ClearedTrending { trending: trending.clone(), tallies: trending, keep }
    }

    crate::adapters::contract::audit_trending::audit_trending_contract!(fresh);
}

mod own {
    use super::*;

    tests![two_nodes_and_the_memory_rank_alike_to_the_last_bit];
}

async fn two_nodes_and_the_memory_rank_alike_to_the_last_bit() {
    let (commands, _keep) = commands().await;
    let node = || RedisTrending::new(commands.clone(), WEIGHTS, &SystemEntropy);
    let (one, other, memory) = (node(), node(), MemoryTrending::new(WEIGHTS));
    let tally = |n: i64| {
        let post = post_id(u8::try_from(n % 17).unwrap());
        let interaction = Interaction::ALL[usize::try_from(n * 7 % 5).unwrap()];
        Tally { post, interaction, at: at(-n * 1_234_567), amount: if n % 9 == 8 { -1 } else { 1 } }
    };
    let tallies = numbered(0, &(0..600).map(tally).collect::<Vec<_>>());
    for (n, some) in tallies.chunks(50).enumerate() {
        // Both were sent the same at once, as when both catch up: it counts once.
        let (a, b) = tokio::join!(one.count(some), other.count(some));
        a.and(b).unwrap();
        memory.count(some).await.unwrap();
        for window in Window::ALL {
            let now = at(i64::try_from(n).unwrap() * 60_000);
            let expected = memory.ranked(window, now, 100).await.unwrap();
            assert_eq!(one.ranked(window, now, 100).await.unwrap(), expected);
            assert_eq!(other.ranked(window, now, 100).await.unwrap(), expected);
        }
    }
}
