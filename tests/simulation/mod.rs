//! The simulator: the real engine in a virtual world that crashes, stalls, loses messages and edits.
//!
//! Everything is drawn from one seed; the same seed gives the same history. A failing seed is printed;
//! `CRONWRIGHT_SIM_SEED=N` replays it with its trace. Faults stop at the horizon, then comes quiet, then
//! the checker. The ledger it writes to is the model that the conformance suite holds the stores against.

mod attempts;
mod checker;
mod queue;
pub(crate) mod random;
mod renames;
mod successions;
mod world;

use world::{Bug, World};

/// How many histories one `cargo test` simulates, always the same ones; `CRONWRIGHT_TEST_SCALE`
/// multiplies it.
const HISTORIES: u64 = 120;
/// A planted bug must be found within so many seeds.
const SEEDS_PER_BUG: u64 = 200;

fn scale() -> u64 {
    std::env::var("CRONWRIGHT_TEST_SCALE").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Everything that is wrong with a history.
fn findings(world: &World) -> Vec<String> {
    let mut findings = checker::findings(world);
    findings.extend(attempts::findings(world));
    findings.extend(successions::findings(world));
    findings.extend(queue::findings(world));
    findings
}

/// Runs one history; the findings, and how many virtual seconds it took.
fn history(seed: u64, bug: Option<Bug>, trace: bool) -> (Vec<String>, u64) {
    let mut world = World::new(seed, bug, trace);
    world.run();
    (findings(&world), world.seconds())
}

#[test]
fn every_due_time_is_covered_once_and_started_once_whatever_happens() {
    if let Ok(seed) = std::env::var("CRONWRIGHT_SIM_SEED") {
        let (findings, _) = history(seed.parse().unwrap(), None, true);
        assert!(findings.is_empty(), "seed {seed}:\n{}", findings.join("\n"));
        return;
    }
    let (histories, mut seconds) = (HISTORIES * scale(), 0);
    for seed in 0..histories {
        let (findings, virtual_seconds) = history(seed, None, false);
        assert!(findings.is_empty(), "seed {seed}:\n{}", findings.join("\n"));
        seconds += virtual_seconds;
    }
    println!("simulated {histories} histories, {} virtual days", seconds / 86_400);
}

#[test]
fn a_virtual_month_of_one_daemon() {
    let mut world = World::month(7);
    world.run();
    let findings = findings(&world);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(world.seconds() >= 30 * 86_400);
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let digest = |seed| {
        let mut world = World::new(seed, None, false);
        world.run();
        format!("{:?}", world.ledger.all_rows())
    };
    assert_eq!(digest(11), digest(11));
    assert_ne!(digest(11), digest(12));
}

#[test]
fn every_planted_bug_is_found() {
    for bug in Bug::ALL {
        let found = (0..SEEDS_PER_BUG).find(|seed| !history(*seed, Some(bug), false).0.is_empty());
        assert!(found.is_some(), "{bug:?} was not found in {SEEDS_PER_BUG} seeds");
        println!("{bug:?}: found at seed {}", found.unwrap());
    }
}
