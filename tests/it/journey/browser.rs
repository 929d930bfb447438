//! The product's page in two real browsers: what one writes the other sees, also when it was cut off.

use std::time::Duration;

use crate::support::{Cut, Script, Server, has_program, installed, skipped, within};

/// Which Chromium to start, by path or name, instead of the first that is found.
const CHROMIUM: &str = "CARILLON_TEST_CHROMIUM";

/// How long the whole journey may take, two browsers in a debug build on a busy machine. The script's own waits are
/// shorter; this one ends a script that hangs.
const JOURNEY_PATIENCE: Duration = Duration::from_mins(3);

/// The Chromium to start, or why there is none.
pub(super) fn chromium() -> Result<String, String> {
    if let Ok(named) = std::env::var(CHROMIUM) {
        return Ok(named);
    }
    let known = ["chromium", "chromium-browser", "google-chrome"];
    let found = known.into_iter().find_map(|name| {
        let path = std::env::var_os("PATH")?;
        let file =
            std::env::split_paths(&path).map(|folder| folder.join(name)).find(|f| f.is_file())?;
        has_program(name).then(|| file.to_string_lossy().into_owned())
    });
    found.ok_or_else(|| format!("no Chromium is installed ({CHROMIUM} may name one)"))
}

#[tokio::test]
async fn two_browsers_see_each_other_live_and_miss_nothing() {
    let test = "two_browsers_see_each_other_live_and_miss_nothing";
    let found = match chromium() {
        Ok(chromium) => installed("browser").await.map(|modules| (chromium, modules)),
        Err(reason) => Err(reason),
    };
    let (chromium, modules) = match found {
        Ok(found) => found,
        Err(reason) => return skipped(test, &reason),
    };
    let server = Server::start().await;
    let wire = Cut::new(server.address()).await;
    let adas = format!("http://{}", server.address());
    let bobs = format!("http://{}", wire.address());
    let mut script = Script::start("browser", "journey.mjs", &modules, &[&chromium, &adas, &bobs]);
    within(JOURNEY_PATIENCE, "the journey in two browsers", async {
        loop {
            let told = script.next().await;
            match told["event"].as_str() {
                Some("done") => return,
                Some("step") => eprintln!("{}", told["name"]),
                Some("cut") => {
                    wire.cut();
                    script.say("cut");
                }
                Some("mend") => {
                    wire.mend();
                    script.say("mend");
                }
                _ => panic!("the journey failed: {}", serde_json::to_string_pretty(&told).unwrap()),
            }
        }
    })
    .await;
}
