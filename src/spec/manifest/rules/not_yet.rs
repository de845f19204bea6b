//! What the grammar has and this version does not do yet: refused at its place, by name.
//!
//! A key that is accepted and does nothing would be worse than one that is refused. When a key comes
//! to life it leaves this file for the types in `raw`.

/// Keys by the definition in whose map they stand.
const KEYS: [(&str, &[&str]); 8] = [
    ("Manifest", &["concurrency_groups", "patches", "when"]),
    ("Job", JOB),
    ("Defaults", JOB),
    ("Settings", &["allow_root", "drain", "environment", "heartbeat", "notifiers"]),
    ("Http", &["forward_auth"]),
    ("Node", &["labels"]),
    ("Redis", &["keys"]),
    ("Store", &[]),
];

const JOB: &[&str] = &[
    "concurrency_group",
    "expect_success_within",
    "heartbeat",
    "notify",
    "on_resume",
    "on_store_down",
    "priority",
    "retention",
    "runs_on",
    "warn_after",
    "when",
    // Reserved: nothing in the grammar yet.
    "after",
    "container",
    "matrix",
    "sandbox",
];

/// Whether a key of this definition is one of those to come.
pub fn is_key(about: &str, key: &str) -> bool {
    KEYS.iter().any(|(definition, keys)| *definition == about && keys.contains(&key))
}

/// Where a key belongs that stands in the wrong map.
pub fn misplaced(about: &str, key: &str) -> Option<&'static str> {
    const OF_TRIGGERS: [&str; 10] = [
        "start_date",
        "end_date",
        "anchor",
        "dialect",
        "day_match",
        "gap",
        "fold",
        "calendar",
        "exclude",
        "jitter",
    ];
    const OF_JOBS: [&str; 8] =
        ["cron", "interval", "date", "triggers", "command", "script", "class", "http"];
    match about {
        "Job" if OF_TRIGGERS.contains(&key) => Some("this belongs to an entry of `triggers`"),
        "Trigger"
            if !OF_JOBS[..3].contains(&key) && (OF_JOBS.contains(&key) || key == "enabled") =>
        {
            Some("this belongs to the job")
        }
        "Defaults"
            if OF_JOBS.contains(&key)
                || ["description", "params", "previous_names"].contains(&key)
                || OF_TRIGGERS.contains(&key) =>
        {
            Some("this cannot be a default: each job says it")
        }
        "Manifest" if OF_JOBS.contains(&key) => {
            Some("this belongs to a job: `jobs:` maps names to jobs")
        }
        _ => None,
    }
}
