//! In what parts a batch is published, so that the order within each channel is kept.

use rustc_hash::FxHashMap;

use crate::domain::channel::ChannelName;
use crate::ports::broker::{Outgoing, Retention};

/// How many entries one script publishes; more of a channel wait for the next round.
const ENTRIES_MAX: usize = 128;

/// Publications of one channel that one script makes, by their places in the batch. One that tells a version is alone.
pub(super) struct Group {
    pub(super) channel: ChannelName,
    pub(super) retention: Retention,
    pub(super) places: Vec<usize>,
}

/// What is published at once: first groups, no two of them of one channel, then what no history keeps, in its order.
#[derive(Default)]
pub(super) struct Round<'a> {
    pub(super) groups: Vec<Group>,
    pub(super) announcements: Vec<&'a Outgoing>,
}

/// Where the last publication of a channel is.
#[derive(Clone, Copy)]
struct Last {
    round: usize,
    /// The place of its group, if others may join that.
    open: Option<usize>,
}

/// The rounds in which a batch is published.
pub(super) fn rounds(batch: &[Outgoing]) -> Vec<Round<'_>> {
    let mut rounds = Vec::<Round<'_>>::new();
    let mut lasts: FxHashMap<&ChannelName, Last> = FxHashMap::default();
    for (place, outgoing) in batch.iter().enumerate() {
        let channel = &outgoing.channel;
        let last = lasts.get(channel).copied();
        let Some(retention) = outgoing.retention else {
            let round = last.map_or(0, |last| last.round);
            at(&mut rounds, round).announcements.push(outgoing);
            lasts.insert(channel, Last { round, open: None });
            continue;
        };
        let joins = outgoing.version.is_none();
        if let Some(Last { round, open: Some(group), .. }) = last.filter(|_| joins)
            && rounds[round].groups[group].places.len() < ENTRIES_MAX
        {
            rounds[round].groups[group].places.push(place);
            continue;
        }
        let round = last.map_or(0, |last| last.round + 1);
        let groups = &mut at(&mut rounds, round).groups;
        let open = joins.then_some(groups.len());
        groups.push(Group { channel: channel.clone(), retention, places: vec![place] });
        lasts.insert(channel, Last { round, open });
    }
    rounds
}

fn at<'r, 'a>(rounds: &'r mut Vec<Round<'a>>, round: usize) -> &'r mut Round<'a> {
    if round == rounds.len() {
        rounds.push(Round::default());
    }
    &mut rounds[round]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::domain::publication::{Json, PublicationBody, Version};

    /// Of each round the places in its groups, and how many announcements there are.
    fn shape(batch: &[Outgoing]) -> Vec<(Vec<Vec<usize>>, usize)> {
        let of = |round: Round<'_>| {
            let groups = round.groups.into_iter().map(|group| group.places);
            (groups.collect(), round.announcements.len())
        };
        rounds(batch).into_iter().map(of).collect()
    }

    #[test]
    fn within_a_channel_nothing_overtakes_anything() {
        let data = Json::from_value(&1).unwrap();
        let body = Arc::new(PublicationBody { data, info: None, tags: [].into(), delta: false });
        let retention = Some(Retention { size: 1, ttl: Duration::from_secs(1) });
        let kept = |channel: ChannelName| Outgoing {
            channel,
            event: None,
            body: Arc::clone(&body),
            retention,
            version: None,
        };
        let skipped = |channel| Outgoing { retention: None, ..kept(channel) };
        let version = Some(Version { number: 1, epoch: String::new() });
        let versioned = |channel| Outgoing { version: version.clone(), ..kept(channel) };
        let (feed, tag) = (ChannelName::feed, || ChannelName::tag("rust"));

        assert_eq!(shape(&[]), []);
        let plain = [kept(feed()), kept(tag()), kept(feed()), skipped(tag()), skipped(tag())];
        assert_eq!(shape(&plain), [(vec![vec![0, 2], vec![1]], 2)]);
        let mixed = [kept(feed()), skipped(feed()), kept(feed()), kept(feed()), kept(tag())];
        assert_eq!(shape(&mixed), [(vec![vec![0], vec![4]], 1), (vec![vec![2, 3]], 0)]);
        let late = [skipped(feed()), kept(feed())];
        assert_eq!(shape(&late), [(vec![], 1), (vec![vec![1]], 0)]);
        let alone = [kept(feed()), versioned(feed()), versioned(feed()), kept(feed())];
        let each = (0..4).map(|place| (vec![vec![place]], 0)).collect::<Vec<_>>();
        assert_eq!(shape(&alone), each);
        let many = vec![kept(feed()); ENTRIES_MAX + 1];
        let first = (0..ENTRIES_MAX).collect();
        assert_eq!(shape(&many), [(vec![first], 0), (vec![vec![ENTRIES_MAX]], 0)]);
    }
}
