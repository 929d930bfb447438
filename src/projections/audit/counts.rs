//! Counts of posts, of followers and of unread notifications, compared with the documents that they count.
//!
//! Where a document and its count are two writes, a busy post is nearly always between the two. So a difference counts
//! only if it is the same however often one looks, before and after things had the time to settle.

use std::time::Duration;

use tokio::time::Instant;

use super::report::{Check, Remedy, Report};
use super::{Audit, PAGE_MAX};
use crate::domain::ids::{PostId, UserId};
use crate::domain::notification::NotificationKind;
use crate::ports::StoreError;
use crate::ports::audit::content::{FollowTally, PostTally, UnreadTally};

/// How often one looks again.
const LOOKS: usize = 4;
/// Between those looks; longer than the two writes are apart.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// What is counted of a post, in the order of the port.
const NAMES: [&str; 5] = ["views", "likes", "comments", "shares", "bookmarks"];

/// How many kinds of notifications there are.
const KINDS: usize = NotificationKind::ALL.len();

/// By how much each count is off.
fn off<const N: usize>(kept: [i64; N], counted: [i64; N]) -> [i64; N] {
    std::array::from_fn(|at| kept[at].saturating_sub(counted[at]))
}

fn remedy_of(recounted: Option<bool>) -> Remedy {
    match recounted {
        Some(_) => Remedy::Repaired,
        None => Remedy::Left("it was changed all the while".into()),
    }
}

impl Audit {
    /// Compares the counts of all posts.
    pub(super) async fn compare_posts(&self, report: &mut Report) -> Result<(), StoreError> {
        let counts = &self.stores.counts;
        let mut after = None;
        loop {
            let (page, looked) = (counts.posts_after(after, PAGE_MAX).await?, Instant::now());
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(*last);
            report.examined(Check::PostCounts, page.len());
            let mut wrong = counts.post_tallies(&page).await?;
            wrong.retain(|tally| tally.kept != tally.counted);
            if wrong.is_empty() {
                continue;
            }
            self.settle(looked).await;
            for _ in 0..LOOKS {
                wrong = self.still_wrong_posts(wrong).await?;
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            wrong.sort_unstable_by_key(|tally| tally.post);
            for PostTally { post, kept, counted } in wrong {
                let recount = async { counts.recount_post(post).await.map(remedy_of) };
                let remedy = self.remedy(recount).await?;
                report.found(Check::PostCounts, told(post, kept, counted), remedy);
            }
        }
    }

    async fn still_wrong_posts(
        &self,
        before: Vec<PostTally>,
    ) -> Result<Vec<PostTally>, StoreError> {
        let ids: Vec<_> = before.iter().map(|tally| tally.post).collect();
        let mut now = self.stores.counts.post_tallies(&ids).await?;
        now.retain(|tally| {
            let seen = before.iter().find(|seen| seen.post == tally.post);
            let as_seen = seen.map(|seen| off(seen.kept, seen.counted));
            tally.kept != tally.counted && as_seen == Some(off(tally.kept, tally.counted))
        });
        Ok(now)
    }

    /// Compares the follow counts of all users.
    pub(super) async fn compare_follows(&self, report: &mut Report) -> Result<(), StoreError> {
        let counts = &self.stores.counts;
        let mut after = None;
        loop {
            let (page, looked) = (counts.users_after(after, PAGE_MAX).await?, Instant::now());
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(*last);
            report.examined(Check::FollowCounts, page.len());
            let mut wrong = counts.follow_tallies(&page).await?;
            wrong.retain(|tally| tally.kept != tally.counted);
            if wrong.is_empty() {
                continue;
            }
            self.settle(looked).await;
            for _ in 0..LOOKS {
                wrong = self.still_wrong_follows(wrong).await?;
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            wrong.sort_unstable_by_key(|tally| tally.user);
            for FollowTally { user, kept, counted } in wrong {
                let recount = async { counts.recount_follows(user).await.map(remedy_of) };
                let remedy = self.remedy(recount).await?;
                report.found(Check::FollowCounts, followed(user, kept, counted), remedy);
            }
        }
    }

    /// Compares the unread counts of all inboxes.
    pub(super) async fn compare_unread(&self, report: &mut Report) -> Result<(), StoreError> {
        let counts = &self.stores.counts;
        let mut after = None;
        loop {
            let (page, looked) = (counts.inboxes_after(after, PAGE_MAX).await?, Instant::now());
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(*last);
            report.examined(Check::UnreadCounts, page.len());
            let mut wrong = counts.unread_tallies(&page).await?;
            wrong.retain(|tally| tally.kept != tally.counted);
            if wrong.is_empty() {
                continue;
            }
            self.settle(looked).await;
            for _ in 0..LOOKS {
                wrong = self.still_wrong_unread(wrong).await?;
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            wrong.sort_unstable_by_key(|tally| tally.user);
            for UnreadTally { user, kept, counted } in wrong {
                let recount = async { counts.recount_unread(user).await.map(remedy_of) };
                let remedy = self.remedy(recount).await?;
                report.found(Check::UnreadCounts, unread(user, kept, counted), remedy);
            }
        }
    }

    async fn still_wrong_unread(
        &self,
        before: Vec<UnreadTally>,
    ) -> Result<Vec<UnreadTally>, StoreError> {
        let users: Vec<_> = before.iter().map(|tally| tally.user).collect();
        let mut now = self.stores.counts.unread_tallies(&users).await?;
        now.retain(|tally| {
            let seen = before.iter().find(|seen| seen.user == tally.user);
            let as_seen = seen.map(|seen| off(seen.kept, seen.counted));
            tally.kept != tally.counted && as_seen == Some(off(tally.kept, tally.counted))
        });
        Ok(now)
    }

    async fn still_wrong_follows(
        &self,
        before: Vec<FollowTally>,
    ) -> Result<Vec<FollowTally>, StoreError> {
        let ids: Vec<_> = before.iter().map(|tally| tally.user).collect();
        let mut now = self.stores.counts.follow_tallies(&ids).await?;
        now.retain(|tally| {
            let seen = before.iter().find(|seen| seen.user == tally.user);
            let as_seen = seen.map(|seen| off(seen.kept, seen.counted));
            tally.kept != tally.counted && as_seen == Some(off(tally.kept, tally.counted))
        });
        Ok(now)
    }
}

fn unread(user: UserId, kept: [i64; KINDS], counted: [i64; KINDS]) -> String {
    let names = NotificationKind::ALL.map(|kind| format!("unread {}", kind.as_str()));
    let names = names.each_ref().map(String::as_str);
    format!("inbox of user {user}: {}", differences(&names, &kept, &counted))
}

fn told<const N: usize>(post: PostId, kept: [i64; N], counted: [i64; N]) -> String {
    format!("post {post}: {}", differences(&NAMES, &kept, &counted))
}

fn followed(user: UserId, kept: [i64; 2], counted: [i64; 2]) -> String {
    format!("user {user}: {}", differences(&["followers", "following"], &kept, &counted))
}

fn differences(names: &[&str], kept: &[i64], counted: &[i64]) -> String {
    let all = names.iter().zip(kept.iter().zip(counted));
    let wrong = all.filter(|(_, (kept, counted))| kept != counted);
    let wrong: Vec<_> = wrong
        .map(|(name, (kept, counted))| format!("{kept} {name} instead of {counted}"))
        .collect();
    wrong.join(", ")
}
