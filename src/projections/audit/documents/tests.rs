//! Which of two events came later, and what that says of a document.

use super::*;
use crate::adapters::contract::{at, event_id, incarnation, post, post_id};
use crate::domain::event::Actor;
use crate::domain::post::Post;

fn mark(since: Option<i64>) -> PostMark {
    PostMark { post_id: post_id(1), post_author: UserId(42), since: since.map(at) }
}

/// The event `n` of a user, minted at `minted` and decided at `time`, in milliseconds after the beginning.
fn logged(run: u8, seq: u64, (minted, time): (i64, i64), fact: Fact) -> LoggedEvent {
    let actor = Some(Actor { id: UserId(7), username: "ada".into() });
    let id = EventId::from_parts(at(minted), [run; 10]);
    let event = Event { id, actor, time: at(time), fact };
    LoggedEvent { incarnation: incarnation(run), seq, event }
}

fn liked(run: u8, seq: u64, time: i64) -> LoggedEvent {
    logged(run, seq, (time, time), Fact::PostLiked(mark(None)))
}

fn unliked(run: u8, seq: u64, time: i64, since: i64) -> LoggedEvent {
    logged(run, seq, (time, time), Fact::PostUnliked(mark(Some(since))))
}

fn updated(run: u8, seq: u64, time: i64, version: u64) -> LoggedEvent {
    let fact = Fact::PostPublished(Box::new(Post { version, ..post(1) }));
    logged(run, seq, (time, time), fact)
}

#[test]
fn events_of_one_run_are_in_the_order_of_their_numbers_whatever_their_ids_say() {
    let (early, held_up) = (liked(1, 1, 50_000), liked(1, 2, 10));
    assert_eq!(came_after(&held_up, &early), Some(true));
    assert_eq!(came_after(&early, &held_up), Some(false));
}

#[test]
fn versions_of_a_post_decide_between_runs() {
    let (first, second) = (updated(1, 9, 500_000, 1), updated(2, 1, 10, 2));
    assert_eq!(came_after(&second, &first), Some(true));
    assert_eq!(came_after(&first, &second), Some(false));
    assert_eq!(came_after(&first, &first), Some(false));
}

#[test]
fn what_takes_a_mark_back_came_after_it_whatever_the_clocks_say() {
    let (on, off) = (liked(1, 1, 900), unliked(2, 1, 200, 900));
    assert_eq!(came_after(&off, &on), Some(true));
    assert_eq!(came_after(&on, &off), Some(false));
}

#[test]
fn between_runs_only_a_long_time_decides() {
    let on = liked(1, 1, 0);
    let soon = unliked(2, 1, 59_000, 12_345);
    assert_eq!(came_after(&soon, &on), None);
    assert_eq!(came_after(&on, &soon), None);
    let late = unliked(2, 1, 61_000, 12_345);
    assert_eq!(came_after(&late, &on), Some(true));
    assert_eq!(came_after(&on, &late), Some(false));
}

#[test]
fn a_page_has_one_last_event_of_each_document() {
    let page = [
        liked(1, 3, 30_000),
        liked(1, 4, 10),
        updated(1, 5, 400, 2),
        updated(1, 6, 500, 1),
        logged(1, 7, (600, 600), Fact::PostShared(mark(None))),
        logged(1, 8, (601, 601), Fact::PostShared(mark(None))),
        logged(1, 9, (3_599_999, 0), Fact::PostViewed(mark(None))),
    ];
    let latest = latest_of(&page);
    let mut numbers: Vec<_> = latest.values().map(|logged| logged.seq).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [4, 5, 7, 8, 9]);
    let hour = page[6].event.id.minted_at().as_millis() / 3_600_000;
    let view = MarkKey { user: UserId(7), mark: Mark::View(post_id(1), hour) };
    assert_eq!(latest[&DocumentKey::Mark(view)].seq, 9);
}

#[test]
fn a_document_is_wrong_only_where_that_is_certain() {
    let (on, off) = (liked(1, 1, 10), unliked(1, 2, 20, 10));
    let state = |logged: &LoggedEvent, holds| LastEvent { event: logged.event.id, holds };
    assert_eq!(judged(&off, None, None), Some(Wrong::Missing));
    assert_eq!(judged(&off, Some(&state(&off, false)), Some(&off)), None);
    assert_eq!(judged(&off, Some(&state(&off, true)), Some(&off)), Some(Wrong::Otherwise));
    assert_eq!(judged(&off, Some(&state(&on, true)), Some(&on)), Some(Wrong::Older));
    assert_eq!(judged(&on, Some(&state(&off, false)), Some(&off)), None);
    // The log does not have it yet, and what is not there yet is the last.
    let unknown = LastEvent { event: event_id(1), holds: true };
    assert_eq!(judged(&off, Some(&unknown), None), None);
    // By another node, at about the same time.
    let other = liked(2, 1, 15);
    assert_eq!(judged(&off, Some(&state(&other, true)), Some(&other)), None);
    // Whether a draft was edited or removed, its event does not say.
    let draft = logged(1, 3, (30, 30), Fact::PostDrafted(Box::new(post(1))));
    for holds in [true, false] {
        assert_eq!(judged(&draft, Some(&state(&draft, holds)), Some(&draft)), None);
    }
}
