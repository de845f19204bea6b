//! Limits of jobs and what the ledger says of them, by the real program.

use cronwright::supervisor::cgroup::offer::{offered_to, refusal};
use cronwright::supervisor::protocol::GroupLimits;
use serde_json::json;

use super::harness::World;

#[test]
fn the_row_says_what_kept_an_execution_within_its_bounds() {
    let mut world = World::new();
    world.write("cronwright.toml", "");
    world.save(
        "jobs.d/jobs.yaml",
        "jobs:\n  plain: { triggers: [], command: 'true' }\n  \
         limited: { triggers: [], command: 'true', limits: { files: 64, time: 1m } }\n  \
         leaving: { triggers: [], command: 'true', leftovers: leave }\n  \
         absent: { triggers: [], command: /no/such }\n",
    );
    world.start();
    world.until_synced();
    let by = if offered_to(None).is_ok() { "cgroup" } else { "group" };
    assert_eq!(world.runs("plain")["protection"], json!({ "by": by, "limits": [] }));
    let limited = world.runs("limited");
    assert_eq!(limited["protection"], json!({ "by": by, "limits": ["files", "time"] }));
    let leaving = world.runs("leaving");
    assert_eq!(leaving["protection"], json!({ "by": "group", "limits": [] }));
    assert!(world.runs("absent").get("protection").is_none(), "nothing was started");
    // The same in `show`, and it stands in the store.
    let shown = world.ask(&["show", "limited"]);
    assert_eq!(shown["executions"][0]["protection"], limited["protection"]);
    let history = world.verb(&["history", "limited", "-o", "wide"]);
    let table = String::from_utf8(history.stdout).unwrap();
    assert!(table.contains(&format!("{by}: files, time")), "{table}");
}

#[test]
fn a_limit_that_cannot_be_held_here_fails_the_start_and_says_what_helps() {
    let mut world = World::new();
    world.write("cronwright.toml", "");
    world.save(
        "jobs.d/jobs.yaml",
        "jobs:\n  bounded: { triggers: [], script: touch ran, limits: { cpu: 0.5, memory: 64MiB, pids: 20 } }\n",
    );
    assert!(world.verb(&["validate"]).status.success(), "another machine may hold them");
    world.start();
    world.until_synced();
    let row = world.runs("bounded");
    let limits = GroupLimits {
        cpu_thousandths_max: Some(500),
        memory_bytes_max: Some(64 << 20),
        pids_max: Some(20),
    };
    match refusal(&offered_to(None), &limits) {
        Some(message) => {
            assert_eq!((&row["outcome"], &row["reason"]), (&json!("failed"), &json!("spawn")));
            assert_eq!(row["exception"]["message"], message);
            assert!(row.get("protection").is_none() && !world.path("ran").exists(), "{row}");
        }
        None => assert_eq!(
            row["protection"],
            json!({ "by": "cgroup", "limits": ["cpu", "memory", "pids"] })
        ),
    }
}

#[test]
fn a_fork_bomb_and_a_glutton_fail_by_their_limits_and_the_daemon_goes_on() {
    let limits = GroupLimits {
        memory_bytes_max: Some(32 << 20),
        pids_max: Some(20),
        ..GroupLimits::default()
    };
    if let Some(why) = refusal(&offered_to(None), &limits) {
        println!("skipped: 1 test needs the controllers `memory` and `pids`: a_fork_bomb: {why}");
        return;
    }
    let mut world = World::new();
    world.write("cronwright.toml", "");
    world.save(
        "jobs.d/jobs.yaml",
        "jobs:\n  \
         bomb: { triggers: [], script: 'b() { b | b & }; b; sleep 1; exit 1', limits: { pids: 20 } }\n  \
         glutton: { triggers: [], script: 'head -c 200000000 /dev/zero | tail -c 150000000 | wc -c', limits: { memory: 32MiB } }\n  \
         modest: { triggers: [], script: 'true | true', limits: { pids: 20, memory: 32MiB } }\n",
    );
    world.start();
    world.until_synced();
    assert!(world.verb(&["run", "bomb"]).status.success());
    assert_eq!(world.runs("modest")["outcome"], "succeeded", "beside the bomb");
    for (job, reason) in [("bomb", "pids_limit"), ("glutton", "oom")] {
        let row = if job == "bomb" { world.until_ended(job) } else { world.runs(job) };
        assert_eq!((&row["outcome"], &row["reason"]), (&json!("failed"), &json!(reason)), "{row}");
        assert_eq!(row["protection"]["by"], "cgroup");
    }
    assert_eq!(world.runs("modest")["outcome"], "succeeded", "after them");
    assert!(world.lives());
}
