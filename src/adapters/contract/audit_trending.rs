//! What adapters of [`ClearTrending`] are held to. A factory's adapter has some weights and nothing counted.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::trending::{Interaction, Tally, Window};
use crate::ports::audit::trending::ClearTrending;
use crate::ports::trending::{Trending, Turn};

use super::trending::numbered;
use super::{at, post_id};

/// Makes a test of each promise.
macro_rules! audit_trending_contract {
    ($factory:expr) => {
        $crate::adapters::contract::contract_tests!(
            $crate::adapters::contract::audit_trending,
            $factory,
            [what_is_cleared_is_forgotten_and_can_be_counted_again]
        );
    };
}
pub(crate) use audit_trending_contract;

/// The ports of one store.
pub struct ClearedTrending {
    /// Counts.
    pub trending: Arc<dyn Trending>,
    /// Forgets.
    pub tallies: Arc<dyn ClearTrending>,
    /// What has to outlive them.
    pub keep: Box<dyn Any + Send>,
}

pub async fn what_is_cleared_is_forgotten_and_can_be_counted_again(
    factory: impl AsyncFnOnce() -> ClearedTrending,
) {
    let ClearedTrending { trending, tallies, keep: _keep } = factory().await;
    tallies.clear().await.unwrap();
    let tally = Tally { post: post_id(1), interaction: Interaction::Likes, at: at(0), amount: 1 };
    let counted = numbered(1, &[tally]);
    for _ in 0..2 {
        for window in Window::ALL {
            assert_eq!(trending.ranked(window, at(1), 9).await.unwrap(), []);
        }
        assert!(!trending.is_whole().await.unwrap());
        let recount = trending.begin_recount().await.unwrap();
        trending.count(&counted).await.unwrap();
        assert!(trending.declare_whole(&recount).await.unwrap());
        for window in Window::ALL {
            let ranked = trending.ranked(window, at(1), 9).await.unwrap();
            assert_eq!(ranked.len(), 1);
            let likes = &ranked[0].shares[0];
            assert_eq!((likes.0, likes.1.count), (Interaction::Likes, 1));
            trending.note_told(window, "a").await.unwrap();
        }
        tallies.clear().await.unwrap();
        let turn = trending.turn(Window::Week, "a", Duration::from_millis(1)).await.unwrap();
        assert_ne!(turn, Turn::Told, "a list that was told is forgotten as well");
    }
}
