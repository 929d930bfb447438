//! What is recovered, compared with a model of what was relayed.

mod hub;
mod young;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::*;
use hub::{Hub, Stores, TTL};

/// What happens to the hub.
#[derive(Clone, Debug)]
enum Step {
    /// An event is committed and relayed to the channels whose bits are set.
    Publish(u8),
    /// An event so many before the latest is published once more, as a retry does.
    Again(usize),
    /// The recorder writes so many of the relays that are due.
    Record(usize),
    /// The node is killed and starts again; what was not recorded is left behind.
    Restart,
    /// What was left behind is relayed and recorded, whatever else waits to be recorded.
    CatchUp,
    /// All that the histories hold grows too old.
    Expire,
    /// Every place that a subscriber ever had is recovered from.
    Check,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (1..8_u8).prop_map(Step::Publish),
        2 => (1..8_usize).prop_map(Step::Again),
        4 => (1..6_usize).prop_map(Step::Record),
        2 => Just(Step::Restart),
        2 => Just(Step::CatchUp),
        1 => Just(Step::Expire),
        1 => Just(Step::Check),
    ];
    vec(step, 1..40)
}

async fn take(hub: &mut Hub, step: &Step) -> Result<(), TestCaseError> {
    match step {
        Step::Publish(channels) => hub.publish(*channels).await,
        Step::Again(back) => hub.again(*back).await,
        Step::Record(count) => hub.record(*count).await,
        Step::Restart => hub.restart().await,
        Step::CatchUp => hub.catch_up().await,
        Step::Expire => hub.clock.advance(TTL + Duration::from_millis(1)),
        Step::Check => return hub.check().await,
    }
    Ok(())
}

/// Takes the steps, and at the end does what a node does within a second: then nothing may be amiss.
async fn live(hub: &mut Hub, steps: &[Step]) -> Result<(), TestCaseError> {
    for step in steps {
        take(hub, step).await?;
    }
    hub.check().await?;
    hub.catch_up().await;
    hub.record(usize::MAX).await;
    hub.check().await
}

/// Runs cases that are the same every time. Time is not waited for where the store allows it.
fn run_cases<F: Future<Output = Stores>>(cases: u32, paused: bool, stores: impl Fn() -> F) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, random);
    let outcome = runner.run(&steps(), |mut steps| {
        if !paused {
            // Nothing is checked while records are due: each such look waits a second.
            steps.retain(|step| !matches!(step, Step::Check));
            steps.push(Step::Record(usize::MAX));
        }
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(paused).build().unwrap();
        runtime.block_on(async {
            let mut hub = Hub::start(stores().await).await;
            live(&mut hub, &steps).await
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Lives through `steps` on the model of the log.
async fn on_model(steps: &[Step]) {
    let mut hub = Hub::start(Stores::model().await).await;
    live(&mut hub, steps).await.unwrap();
}

#[test]
fn recovery_has_no_hole_whatever_happens() {
    run_cases(256, true, Stores::model);
}

#[test]
fn recovery_has_no_hole_on_sqlite() {
    run_cases(12, false, Stores::sqlite);
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_is_not_recorded_yet_is_not_passed_over() {
    use Step::{CatchUp, Check, Publish, Record, Restart};
    let mut steps = vec![Publish(1), Restart];
    // The recorder is behind with the first, while catch-up records its own at once.
    steps.extend([Publish(1), CatchUp]);
    steps.extend([Publish(1), Publish(1), Publish(1), Publish(1), Check, Record(9)]);
    on_model(&steps).await;
}

#[tokio::test(start_paused = true)]
async fn a_place_within_what_an_epoch_began_with_is_none_to_come_back_to() {
    use Step::{Check, Publish, Record, Restart};
    let mut steps = vec![Publish(1), Publish(1), Publish(1), Publish(1), Record(9), Restart];
    // Pages are smaller than the past that the second epoch begins with.
    steps.extend([Check, Restart, Check]);
    on_model(&steps).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_published_again_out_of_the_past_of_an_epoch_hides_nothing() {
    use Step::{Again, Check, Publish, Record, Restart};
    let mut steps = vec![Publish(1), Publish(1), Record(9), Restart, Again(2)];
    steps.extend([Publish(1), Publish(1), Publish(1), Publish(1), Publish(1), Record(9)]);
    steps.extend([Check, Restart, Check]);
    on_model(&steps).await;
}
