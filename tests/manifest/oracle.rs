//! Our checker against the `jsonschema` crate: on any document both say the same yes or no.

use cronwright::spec::manifest::check::{Rules, check};
use cronwright::spec::manifest::node::{Node, Value as NodeValue, yaml};
use cronwright::spec::schema;
use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

/// Keys of every level, so that a good part of the documents is nearly right.
const KEYS: [&str; 63] = [
    "jobs",
    "defaults",
    "version",
    "$schema",
    "x-a",
    "a",
    "etl",
    "Not A Name",
    "cron",
    "interval",
    "date",
    "triggers",
    "timezone",
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
    "calendars",
    "weekdays",
    "except",
    "also",
    "windows",
    "start",
    "end",
    "duration",
    "params",
    "command",
    "script",
    "shell",
    "env",
    "working_dir",
    "timeout",
    "kill_grace",
    "output",
    "max_size",
    "overlap",
    "max_instances",
    "misfire",
    "grace_time",
    "coalesce",
    "max_catch_up",
    "enabled",
    "description",
    "success_exit_codes",
    "umask",
    "inherit_env",
    "leftovers",
    "capture",
    "limits",
    "files",
    "time",
    "secrets",
    "file",
    "LANG",
    "1A",
    "retry",
    "comand",
];

const TEXTS: [&str; 22] = [
    "",
    "a",
    "0 3 * * *",
    "@daily",
    "90s",
    "1h30m",
    "unlimited",
    "90",
    "1MiB",
    "4096",
    "skip",
    "allow",
    "queue",
    "UTC",
    "2026-01-01",
    "2026-01-01..2026-01-03",
    "mon",
    "quartz",
    "all",
    "next",
    "both",
    "ünïcode",
];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => select(&TEXTS[..]).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => select(vec![0, 1, 2, -1, 1000, 1001, i64::MAX]).prop_map(Value::from),
        1 => select(vec![1.0, 1.5, 0.0, -2.0, 1e30]).prop_map(Value::from),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(select(&KEYS[..]), inner, 0..6).prop_map(object),
        ]
    })
}

fn object(map: std::collections::BTreeMap<&'static str, Value>) -> Value {
    Value::Object(map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// A calendar that is right but for what is put in.
fn near_calendar() -> impl Strategy<Value = Value> {
    near(json!({
        "weekdays": ["mon", "fri"], "except": ["2026-01-01"], "also": ["2026-01-01..2026-01-03"],
        "windows": [{ "start": "2026-01-01", "end": "2026-01-02" }, { "cron": "@daily", "duration": "1h" }],
    }))
}

/// A trigger that is right but for what is put in.
fn near_trigger() -> impl Strategy<Value = Value> {
    let keys = json!({
        "cron": "@daily", "dialect": "quartz", "day_match": "all", "gap": "next", "fold": "both",
        "calendar": { "weekdays": ["sun"] }, "jitter": "5m", "start_date": "2026-01-01",
        "exclude": ["a", { "windows": [{ "cron": "@daily", "duration": "1h" }] }],
    });
    (near(keys), any::<bool>()).prop_map(|(mut trigger, complete)| {
        if complete && let Value::Object(keys) = &mut trigger {
            keys.entry("cron").or_insert_with(|| "@hourly".into());
        }
        trigger
    })
}

/// A job that is right but for what is put in.
fn near_job() -> impl Strategy<Value = Value> {
    near(json!({
        "command": ["a"], "description": "x", "timeout": "5m", "kill_grace": null, "overlap": "allow",
        "env": { "LANG": "C", "GONE": null }, "misfire": { "coalesce": true, "max_catch_up": 3 },
        "output": { "max_size": "1MiB", "capture": "stderr" }, "umask": "027", "leftovers": "leave",
        "success_exit_codes": [0, 3], "secrets": { "TOKEN": { "file": "a" }, "GONE": null }, "inherit_env": ["HTTP_PROXY"], "limits": { "files": 64, "time": "5m" },
        "triggers": [
            { "cron": "@daily", "timezone": "UTC", "calendar": "days", "exclude": ["a"] },
            { "interval": "5m", "start_date": "+5s", "jitter": "1m", "calendar": { "weekdays": ["mon"] } },
        ],
        "max_instances": 2, "enabled": true, "shell": ["sh"], "working_dir": "/", "timezone": null,
    }))
}

/// Some of the fields, and with some luck something else among them.
fn near(fields: Value) -> impl Strategy<Value = Value> {
    let Value::Object(fields) = fields else { unreachable!("an object is written above") };
    let keys: Vec<String> = fields.keys().cloned().collect();
    let count = keys.len();
    let kept = proptest::sample::subsequence(keys, 0..=count);
    (kept, btree_map(select(&KEYS[..]), any_value(), 0..2)).prop_map(move |(kept, spoil)| {
        let mut job: Map<String, Value> =
            kept.into_iter().map(|key| (key.clone(), fields[&key].clone())).collect();
        job.extend(spoil.into_iter().map(|(key, value)| (key.to_owned(), value)));
        Value::Object(job)
    })
}

fn documents() -> impl Strategy<Value = Value> {
    let jobs = || btree_map(select(vec!["a", "etl", "Bad"]), near_job(), 0..3).prop_map(object);
    let calendars =
        || btree_map(select(vec!["a", "etl", "Bad"]), near_calendar(), 0..3).prop_map(object);
    prop_oneof![
        1 => any_value(),
        2 => jobs().prop_map(|jobs| json!({ "version": 1, "jobs": jobs })),
        1 => (jobs(), any_value()).prop_map(|(jobs, other)| json!({ "jobs": jobs, "defaults": other })),
        1 => (calendars(), near_trigger())
            .prop_map(|(calendars, trigger)| json!({
                "calendars": calendars, "jobs": { "a": { "command": "x", "triggers": [trigger] } },
            })),
    ]
}

fn tree(value: &Value) -> Node {
    let parsed = yaml::parse(&value.to_string());
    assert_eq!(parsed.faults, [], "{value}");
    let null =
        Node { span: cronwright::spec::manifest::node::Span::default(), value: NodeValue::Null };
    parsed.documents.into_iter().next().unwrap_or(null)
}

#[test]
fn our_checker_agrees_with_a_validator_for_json_schema() {
    let schema = schema::jobs();
    let rules = Rules::compile(&schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let mut runner = TestRunner::new(Config { cases: 1000, ..Config::default() });
    let mut valid = 0;
    runner
        .run(&documents(), |document| {
            let node = tree(&document);
            let faults = check(&rules, &node);
            let expected = validator.is_valid(&document);
            proptest::prop_assert_eq!(faults.is_empty(), expected, "{} {:#?}", document, faults);
            Ok(())
        })
        .unwrap();
    // The generator must reach both answers, else the agreement says nothing.
    for document in [json!({ "jobs": {} }), json!({ "jobs": { "a": { "script": "x" } } })] {
        valid += usize::from(
            validator.is_valid(&document) && check(&rules, &tree(&document)).is_empty(),
        );
    }
    assert_eq!(valid, 2);
}

#[test]
fn the_draft_07_twin_says_the_same_about_the_examples() {
    let twin = jsonschema::draft7::new(&schema::jobs_draft07()).unwrap();
    for (document, valid) in [
        (json!({ "jobs": { "a": { "command": "x", "timeout": null, "overlap": "skip" } } }), true),
        (json!({ "jobs": { "a": { "command": "x", "misfire": { "coalesce": false } } } }), true),
        (json!({ "jobs": { "a": { "command": "x", "timeout": 5 } } }), false),
        (json!({ "jobs": { "a": { "command": "x", "cron": null } } }), false),
        (json!({ "jobs": { "a": {} } }), false),
    ] {
        assert_eq!(twin.is_valid(&document), valid, "{document}");
    }
}
