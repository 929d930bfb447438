//! Ids of documents that several things tell apart: one text each, of which one index can look up many, and that sorts
//! by its parts in their order.

use crate::domain::channel::ChannelName;
use crate::domain::ids::{EventId, PostId, UserId};
use crate::domain::publication::StreamPosition;

/// Stands between parts that have no such character, as numbers, hex digits and UUIDs.
const BETWEEN: char = ':';
/// The character after that one.
const BEYOND: char = ';';
/// Stands between parts that may have any character but control characters, and sorts before those.
const SEPARATOR: char = '\u{1f}';
/// Sorts after every epoch, whose digits end at `v`.
const AFTER_EPOCHS: &str = "~";

/// A user's mark on a post, with what tells it from others where there may be several.
pub(super) fn mark(post: PostId, user: UserId, which: Option<&str>) -> String {
    match which {
        Some(which) => format!("{post}{BETWEEN}{user}{BETWEEN}{which}"),
        None => format!("{post}{BETWEEN}{user}"),
    }
}

/// Between what the ids of all marks are on these two posts and those in between: from the first text on, up to before the
/// second one.
pub(super) fn marks_between(first: PostId, last: PostId) -> (String, String) {
    (format!("{first}{BETWEEN}"), format!("{last}{BEYOND}"))
}

/// Who follows whom.
pub(super) fn follow(follower: UserId, followee: UserId) -> String {
    format!("{follower}{BETWEEN}{followee}")
}

/// What a user was told of an event.
pub(super) fn notification(user: UserId, event: EventId) -> String {
    format!("{user}{BETWEEN}{event}")
}

/// A place in the stream of a channel.
pub(super) fn position(channel: &ChannelName, position: &StreamPosition) -> String {
    let StreamPosition { epoch, offset } = position;
    format!("{channel}{SEPARATOR}{}{SEPARATOR}{offset:020}", epoch.as_str())
}

/// Before and after all places of a channel.
pub(super) fn all_positions(channel: &ChannelName) -> (String, String) {
    (format!("{channel}{SEPARATOR}"), format!("{channel}{SEPARATOR}{AFTER_EPOCHS}"))
}

/// The epoch and the offset of a place, as they are written.
pub(super) fn read_position(id: &str) -> Option<(&str, u64)> {
    let (rest, offset) = id.rsplit_once(SEPARATOR)?;
    let (_, epoch) = rest.rsplit_once(SEPARATOR)?;
    Some((epoch, offset.parse().ok()?))
}

/// An idempotency key; whatever the last part holds, the others end where they do.
pub(super) fn idempotency(principal: &str, route: &str, key: &str) -> String {
    format!("{principal}{SEPARATOR}{route}{SEPARATOR}{key}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::contract::{event_id, post_id};
    use crate::domain::publication::Epoch;

    #[test]
    fn places_sort_by_channel_then_epoch_then_offset() {
        let place = |channel: &str, epoch, offset| {
            let channel = ChannelName::built_in(channel.to_owned());
            position(&channel, &StreamPosition { epoch: Epoch::from_number(epoch), offset })
        };
        let mut places = vec![
            place("a", 1, 9),
            place("a", 1, 10),
            place("a", 2, 1),
            place("a", u64::MAX, u64::MAX),
            place("a!", 1, 1),
            place("a:b c", 1, 1),
        ];
        let sorted = places.clone();
        places.sort();
        assert_eq!(places, sorted);
        let (first, last) = all_positions(&ChannelName::built_in("a".to_owned()));
        let own = places.iter().filter(|place| **place > first && **place < last).count();
        assert_eq!(own, 4);
        let epoch = Epoch::from_number(2);
        assert_eq!(read_position(&places[2]), Some((epoch.as_str(), 1)));
        assert_eq!(read_position("a"), None);
    }

    #[test]
    fn marks_of_a_post_stand_together() {
        let (first, last) = marks_between(post_id(1), post_id(2));
        let inside = |post, which| {
            let id = mark(post, UserId(7), which);
            id >= first && id < last
        };
        assert!(inside(post_id(1), None) && inside(post_id(2), Some("x")));
        assert!(!inside(post_id(0), Some("x")) && !inside(post_id(3), None));
        assert_eq!(follow(UserId(1), UserId(23)), "1:23");
        assert_eq!(notification(UserId(1), event_id(2)), format!("1:{}", event_id(2)));
    }
}
