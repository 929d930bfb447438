use super::*;
use std::borrow::Cow;

/// Sockets 0 and 1 watch post 4, socket 2 is the author's; sockets 0 and 2 read the feed.
fn ledger() -> Ledger {
    let channels = vec![
        ("post:p".to_owned(), Audience::new(Kind::Post(4), 3, &[0, 1])),
        ("notifications:#9".to_owned(), Audience::new(Kind::Inbox, 3, &[2])),
        ("feed:all".to_owned(), Audience::new(Kind::Feed, 3, &[0, 2])),
    ];
    Ledger::new(channels, 1_000..2_000_000).unwrap()
}

fn like(ledger: &mut Ledger, intended_ns: u64) {
    let deed = Deed::Like { post: 4, on: true };
    let write = Planned { deed, account: 0, node: 0, told: Some(9) };
    let channels = ["post:p".to_owned(), "notifications:#9".to_owned()];
    ledger.written(&write, 77, intended_ns, &channels);
}

fn arrival(channel: &str, offset: u64, event: u128, cause: Cause) -> Arrival<'_> {
    Arrival { channel: Cow::Borrowed(channel), offset, event: Some(event), cause }
}

const LIKED: Cause = Cause::Like { actor: 77, on: true };

#[test]
fn a_notification_that_comes_before_its_event_is_known_counts_from_when_it_came() {
    let mut ledger = ledger();
    like(&mut ledger, 1_000_000);
    ledger.answered(0, true, 3_000_000);
    assert_eq!(ledger.missing(), 3);
    ledger.arrived(2, &arrival("notifications:#9", 1, 5, Cause::Event), 2_000_000);
    assert_eq!((ledger.missing(), ledger.close().unknown), (3, 1));
    ledger.arrived(0, &arrival("post:p", 1, 5, LIKED), 4_000_000);
    assert_eq!((ledger.missing(), ledger.close().unknown), (1, 0));
    assert_eq!(ledger.latencies.inbox.max() / 10, 100);
    ledger.arrived(1, &arrival("post:p", 1, 5, LIKED), 5_000_000);
    assert_eq!((ledger.missing(), ledger.deliveries), (0, 3));
    assert!(!ledger.close().any());
    assert_eq!((ledger.latencies.delivered.len(), ledger.latencies.post.len()), (3, 2));
    assert_eq!(ledger.latencies.acknowledged.max() / 10, 200);
}

#[test]
fn what_was_acknowledged_and_did_not_come_is_lost() {
    let mut ledger = ledger();
    like(&mut ledger, 0);
    like(&mut ledger, 0);
    assert_eq!(ledger.close().lost, 0, "nothing is promised yet");
    ledger.answered(0, true, 1);
    ledger.answered(1, false, 1);
    let faults = ledger.close();
    assert_eq!((faults.lost, faults.refused), (3, 1));
    assert_eq!((ledger.acknowledged(), ledger.writes()), (1, 2));
    assert_eq!(ledger.latencies.acknowledged.len(), 0, "it was not meant to go in the window");
}

#[test]
fn repeats_gaps_strangers_and_second_events_are_told_apart() {
    let mut ledger = ledger();
    like(&mut ledger, 0);
    ledger.answered(0, true, 1);
    ledger.arrived(0, &arrival("post:p", 8, 5, LIKED), 1);
    ledger.arrived(0, &arrival("post:p", 9, 5, LIKED), 1);
    assert_eq!(ledger.faults, Faults { repeated: 1, ..Faults::default() });
    assert!(!ledger.faults.any(), "a repeat is allowed");
    ledger.arrived(0, &arrival("post:p", 11, 5, LIKED), 1);
    assert_eq!((ledger.faults.disorder, ledger.faults.repeated), (1, 2));
    ledger.arrived(1, &arrival("feed:all", 1, 6, Cause::Write(0)), 1);
    ledger.arrived(0, &arrival("tag:x", 1, 6, Cause::Write(0)), 1);
    ledger.arrived(0, &arrival("feed:all", 1, 6, Cause::Write(7)), 1);
    assert_eq!(ledger.faults.unknown, 3);
    ledger.arrived(1, &arrival("post:p", 8, 6, LIKED), 1);
    assert_eq!(ledger.faults.ambiguous, 1);
}
