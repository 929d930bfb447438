//! What is written: a plan made before the first write, so that every delivery to come is known.

use anyhow::{Result, ensure};
use clap::Args;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

/// Of a hundred writes, how many are what.
#[derive(Args, Debug, Clone, Copy, Serialize)]
pub struct Mix {
    /// Likes and likes taken back, of a hundred writes.
    #[arg(long, default_value_t = 50)]
    pub likes: u32,
    /// Comments, of a hundred writes.
    #[arg(long, default_value_t = 30)]
    pub comments: u32,
    /// Posts, of a hundred writes.
    #[arg(long, default_value_t = 10)]
    pub posts: u32,
    /// Bare publications through the server API, of a hundred writes.
    #[arg(long, default_value_t = 10)]
    pub publications: u32,
}

/// How many there are of each.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Nodes that take writes.
    pub nodes: usize,
    /// Accounts that write.
    pub accounts: usize,
    /// Posts that are liked and commented on; post `p` is by account `p % accounts`.
    pub posts: usize,
    /// Channels that are published to.
    pub rooms: usize,
    /// Writes.
    pub writes: usize,
}

/// What one write does. Numbers are those of [`Scale`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deed {
    /// Likes the post, or takes that back.
    Like {
        /// Which post.
        post: usize,
        /// Whether it is liked afterwards.
        on: bool,
    },
    /// Comments on the post.
    Comment {
        /// Which post.
        post: usize,
    },
    /// Publishes a post.
    Post,
    /// Publishes to a room.
    Publication {
        /// Which room.
        room: usize,
    },
}

/// One write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// What it does.
    pub deed: Deed,
    /// By which account.
    pub account: usize,
    /// At which node.
    pub node: usize,
    /// Whose inbox must hear of it.
    pub told: Option<usize>,
}

/// Plans all writes. An account likes a post at most once and takes it back at most once, and its own posts never: so
/// account, post and direction name a like, and the author is told of each first one.
///
/// # Errors
/// When the mix is no whole hundred, or there are too few accounts and posts for so many likes.
pub fn plan(scale: &Scale, mix: Mix, seed: u64) -> Result<Vec<Planned>> {
    let sum = mix.likes + mix.comments + mix.posts + mix.publications;
    ensure!(sum == 100, "likes, comments, posts and publications are {sum} of a hundred writes");
    ensure!(scale.accounts > 1, "one account alone has nobody to tell");
    let mut random = StdRng::seed_from_u64(seed);
    let mut pairs: Vec<(usize, usize)> = (0..scale.posts)
        .flat_map(|post| (0..scale.accounts).map(move |account| (post, account)))
        .filter(|(post, account)| post % scale.accounts != *account)
        .collect();
    pairs.shuffle(&mut random);
    let mut likes = 0;
    let mut plan = Vec::with_capacity(scale.writes);
    for _ in 0..scale.writes {
        let node = random.random_range(0..scale.nodes);
        let account = random.random_range(0..scale.accounts);
        let post = random.random_range(0..scale.posts);
        let author = post % scale.accounts;
        let dice = random.random_range(0..100);
        plan.push(if dice < mix.likes {
            let (post, account) = pairs[likes % pairs.len()];
            let on = likes < pairs.len();
            likes += 1;
            let told = on.then_some(post % scale.accounts);
            Planned { deed: Deed::Like { post, on }, account, node, told }
        } else if dice < mix.likes + mix.comments {
            let told = (author != account).then_some(author);
            Planned { deed: Deed::Comment { post }, account, node, told }
        } else if dice < mix.likes + mix.comments + mix.posts {
            Planned { deed: Deed::Post, account, node, told: None }
        } else {
            let room = random.random_range(0..scale.rooms);
            Planned { deed: Deed::Publication { room }, account, node, told: None }
        });
    }
    let most = 2 * pairs.len();
    ensure!(
        likes <= most,
        "{likes} likes are planned, but {} accounts and {} posts allow {most}; raise --accounts or --hot-posts",
        scale.accounts,
        scale.posts
    );
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const MIX: Mix = Mix { likes: 50, comments: 30, posts: 10, publications: 10 };
    const SCALE: Scale = Scale { nodes: 2, accounts: 10, posts: 20, rooms: 5, writes: 400 };

    #[test]
    fn every_like_is_the_only_one_of_its_name_and_nobody_likes_what_is_theirs() {
        let plan = plan(&SCALE, MIX, 7).unwrap();
        let mut names = HashSet::new();
        for write in &plan {
            assert!(write.node < 2 && write.account < 10);
            let Deed::Like { post, on } = write.deed else { continue };
            assert!(names.insert((post, write.account, on)));
            assert_ne!(post % 10, write.account);
            assert_eq!(write.told, on.then_some(post % 10));
        }
        let back = plan.iter().filter(|w| matches!(w.deed, Deed::Like { on: false, .. })).count();
        assert!(back > 0, "more likes than pairs: some are taken back");
        for write in plan.iter().filter(|w| matches!(w.deed, Deed::Comment { .. })) {
            assert_ne!(write.told, Some(write.account), "nobody is told of their own comment");
        }
    }

    #[test]
    fn the_seed_makes_the_plan_and_what_cannot_be_is_refused() {
        assert_eq!(plan(&SCALE, MIX, 1).unwrap(), plan(&SCALE, MIX, 1).unwrap());
        assert_ne!(plan(&SCALE, MIX, 1).unwrap(), plan(&SCALE, MIX, 2).unwrap());
        assert!(plan(&SCALE, Mix { likes: 49, ..MIX }, 1).is_err());
        assert!(plan(&Scale { writes: 4_000, ..SCALE }, MIX, 1).is_err());
        assert!(plan(&Scale { accounts: 1, ..SCALE }, MIX, 1).is_err());
    }
}
