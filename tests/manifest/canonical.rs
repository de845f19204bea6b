//! Canonical texts: equal jobs have equal texts, and a text gives its job back.

use std::collections::BTreeMap;

use chrono::Weekday;
use cronwright::spec::job::{JobMeta, JobName, JobSpec};
use cronwright::spec::manifest::{Content, Known, ManifestFile, load};
use cronwright::spec::params::{Absent, Param, ParamKind, ParamValues, Params, Pattern};
use cronwright::spec::policy::{
    Backoff, GraceTime, MAX_QUEUED, Misfire, OnLost, OnRemove, Overlap, Retry,
};
use cronwright::spec::process::{Capture, Leftovers, Limits, ProcessRules};
use cronwright::spec::secret::SecretSource;
use cronwright::spec::task::Task;
use cronwright::spec::task::call::{Argument, Call, Runtime};
use cronwright::spec::task::http::{Expected, HttpCall, Method};
use cronwright::spec::trigger::{
    CronExpr, CronTrigger, DateTrigger, DayCalendar, DayRange, Dialect, FireFilter, FoldRule,
    GapRule, IntervalStart, IntervalTrigger, Trigger, Window,
};
use cronwright::time::{Timestamp, Zone};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use snapbox::IntoData;
use std::time::Duration;

fn jobs(path: &str, text: &str) -> BTreeMap<String, JobSpec> {
    let content = Content::Bytes(text.as_bytes().into());
    let file = ManifestFile { path: path.into(), source: "s".into(), content };
    let loaded = load(&[file], &Known::default());
    assert_eq!(loaded.diagnostics, [], "{text}");
    loaded.jobs.into_iter().map(|(name, job)| (name.to_string(), (*job.spec).clone())).collect()
}

#[test]
fn formatting_order_comments_and_format_do_not_change_a_job() {
    let yaml = r#"
# A comment.
jobs:
  etl:
    description: "Load it"
    triggers:
      - cron: "30 02 * * MON-FRI"
        timezone: Asia/Shanghai
        start_date: 2026-01-01
      - { interval: 90m, anchor: "2026-01-01T00:30:00" }
    command: /opt/load --mode 'full run'
    timeout: 45m
    env: { B: "2", A: "1" }
    misfire: { grace_time: unlimited }
"#;
    let toml = r#"
[jobs.etl]
env = { A = "1", B = "2" }
timeout = "2700s"
command = ["/opt/load", "--mode", "full run"]
description = 'Load it'
misfire.grace_time = "unlimited"
misfire.coalesce = true
[[jobs.etl.triggers]]
timezone = "Asia/Shanghai"
cron = "30 2 * * 1-5"
start_date = 2026-01-01T00:00:00
[[jobs.etl.triggers]]
interval = "1h30m"
anchor = 2026-01-01T00:30:00Z
"#;
    let (from_yaml, from_toml) = (jobs("a.yaml", yaml), jobs("a.toml", toml));
    assert_eq!(from_yaml["etl"].canonical(), from_toml["etl"].canonical());
    assert_eq!(from_yaml["etl"].digest(), from_toml["etl"].digest());
    snapbox::assert_data_eq!(
        from_yaml["etl"].canonical(),
        snapbox::str![[r#"{"command":["/opt/load","--mode","full run"],"description":"Load it","enabled":true,"env":{"A":"1","B":"2"},"kill_grace":"10s","max_instances":1,"misfire":{"coalesce":true,"grace_time":"unlimited","max_catch_up":10},"output":{"max_size":"128KiB"},"overlap":"skip","timeout":"45m","triggers":[{"cron":"30 2 * * mon-fri","start_date":"2025-12-31T16:00:00Z","timezone":"Asia/Shanghai"},{"anchor":"2026-01-01T00:30:00Z","interval":"1h30m","timezone":"UTC"}],"working_dir":null}"#]].raw()
    );
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\u{0}]{1,12}",
        select(vec![
            "*",
            "@x",
            "- a",
            "# x",
            "null",
            "~",
            "012",
            "yes",
            "a: b",
            "\t",
            "\u{7f}\u{85}\u{2028}",
            "'\"\\",
            "\r\n"
        ])
        .prop_map(str::to_owned),
    ]
    // What a template is, and what is no task, has its own rules.
    .prop_filter("a template or blank", |text| !text.contains("${") && !text.trim().is_empty())
}

fn duration() -> impl Strategy<Value = Duration> {
    (1..400_000_000_u64).prop_map(Duration::from_millis)
}

fn zone() -> impl Strategy<Value = Zone> {
    select(vec!["UTC", "Asia/Shanghai", "America/New_York"])
        .prop_map(|name| Zone::load(name).unwrap())
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (1_500_000_000_000_i64..4_000_000_000_000)
        .prop_map(|ms| Timestamp::from_timestamp_millis(ms).unwrap())
}

fn trigger() -> impl Strategy<Value = Trigger> {
    let expressions = [
        "0 3 * * *",
        "*/5 * * * *",
        "@daily",
        "0/10 * * * * *",
        "30 2 1,15 * mon-fri",
        "0 0 L * ?",
        "0 12 15W * *",
        "5 4 * * sun#2",
        "0 0 3 ? 1-6 5L 2030/2",
        "22-2 * * nov-feb *",
    ];
    let cron =
        (select(expressions.to_vec()), zone(), of(instant())).prop_map(|(text, zone, start)| {
            let expr = CronExpr::parse(text, Dialect::Standard).unwrap();
            let (gap, fold) = match start.map_or(0, |start| start.timestamp_millis() % 4) {
                0 => (None, None),
                1 => (Some(GapRule::Next), Some(FoldRule::Last)),
                2 => (Some(GapRule::Skip), None),
                _ => (None, Some(FoldRule::Both)),
            };
            let plain = CronTrigger::new(expr, zone);
            Trigger::from(CronTrigger { start_date: start, gap, fold, ..plain })
        });
    let interval = (1000..10_000_000_u64, zone(), of(instant()), of(instant())).prop_map(
        |(ms, zone, anchor, start)| {
            let mut trigger = IntervalTrigger::new(Duration::from_millis(ms), zone).unwrap();
            if let Some(anchor) = anchor {
                trigger = trigger.with_anchor(anchor);
            }
            if let Some(start) = start {
                let ms = start.timestamp_millis();
                trigger = trigger.with_start(if ms % 2 == 0 {
                    IntervalStart::At(start)
                } else {
                    IntervalStart::AfterApplied(Duration::from_millis(
                        1 + ms.unsigned_abs() % 90_000,
                    ))
                });
            }
            Trigger::from(trigger)
        },
    );
    let date = (instant(), zone()).prop_map(|(at, zone)| Trigger::from(DateTrigger::new(at, zone)));
    let jitter = of((0..86_400_000_u64).prop_map(Duration::from_millis));
    let trigger = prop_oneof![cron, interval, date];
    (trigger, filter(), recurring(), jitter).prop_map(|(trigger, filter, recurring, jitter)| {
        // Windows repeat in the zone of their trigger.
        let again = recurring.map(|(expr, duration)| Window::Recurring {
            cron: CronTrigger::new(expr, trigger.zone().clone()).into(),
            duration,
        });
        let windows = filter.exclude.into_iter().chain(again).collect();
        let filter = FireFilter::new(filter.calendar, windows);
        // What excludes everything is refused, which is not what is tested here.
        let jitter = jitter.unwrap_or_default();
        let filtered = Trigger { filter, jitter, ..trigger.clone() };
        if filtered.can_ever_fire() { filtered } else { Trigger { jitter, ..trigger } }
    })
}

fn recurring() -> impl Strategy<Value = Option<(CronExpr, Duration)>> {
    let expressions =
        ["0 22 * * sat", "0 0 */2 * mon", "@monthly", "5 4 1,15 * fri", "0 3-5 * * *"];
    let expr = select(expressions.to_vec())
        .prop_map(|text| CronExpr::parse(text, Dialect::Standard).unwrap());
    of((expr, (60_000..90_000_000_u64).prop_map(Duration::from_millis)))
}

fn filter() -> impl Strategy<Value = FireFilter> {
    let day = || {
        (0..20_000_u64).prop_map(|days| {
            chrono::NaiveDate::default().checked_add_days(chrono::Days::new(days)).unwrap()
        })
    };
    let range = (day(), 0..40_u64).prop_map(|(first, more)| DayRange {
        first,
        last: first.checked_add_days(chrono::Days::new(more)).unwrap(),
    });
    let weekdays = subsequence(
        vec![Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Fri, Weekday::Sun],
        1..5,
    );
    let calendar = (weekdays, vec(range.clone(), 0..4), vec(range, 0..4))
        .prop_map(|(weekdays, except, also)| DayCalendar::new(&weekdays, except, also).into());
    let window = (instant(), duration()).prop_map(|(start, length)| Window::Once {
        start,
        end: start + chrono::TimeDelta::from_std(length).unwrap(),
    });
    (of(calendar), vec(window, 0..3))
        .prop_map(|(calendar, exclude)| FireFilter::new(calendar, exclude))
}

fn argument() -> impl Strategy<Value = Argument> {
    let one = prop_oneof![
        Just(Argument::None),
        any::<bool>().prop_map(Argument::Bool),
        any::<i128>().prop_map(Argument::Integer),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Argument::Float),
        any::<String>().prop_map(Argument::Text),
    ];
    one.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Argument::List),
            btree_map(any::<String>(), inner, 0..3)
                .prop_map(|map| Argument::Map(map.into_iter().collect())),
        ]
    })
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        text().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(serde_json::Value::from),
            btree_map(text(), inner, 0..3)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn http() -> impl Strategy<Value = HttpCall> {
    let methods = vec![Method::Get, Method::Post, Method::Put, Method::Delete];
    let headers = btree_map("X-[A-Z]{1,8}", "[a-z ]{0,8}", 0..3);
    let sent = prop_oneof![
        Just((None, None)),
        json().prop_map(|json| (Some(json), None)),
        text().prop_map(|body| (None, Some(body))),
    ];
    (select(methods), headers, sent, btree_set(200..600_u16, 0..3), 0..20_u32).prop_map(
        |(method, headers, (json, body), status, max_redirects)| HttpCall {
            method,
            url: "https://example.com/${execution.id}".to_owned(),
            headers,
            json,
            body,
            expect: Expected { status },
            max_redirects,
        },
    )
}

/// One with a runtime is written in parts, which have no numbers beyond JSON's.
fn class() -> impl Strategy<Value = Task> {
    let runtime = proptest::option::of(prop_oneof![Just(Runtime::Rust), Just(Runtime::Python)]);
    let arguments = (vec(argument(), 0..3), btree_map("[a-z]{1,5}", argument(), 0..3));
    (arguments, runtime).prop_map(|((args, kwargs), runtime)| {
        let (path, kwargs) = ("a.b.C".to_owned(), kwargs.into_iter().collect());
        let call = Call { path, args, kwargs };
        let runtime = runtime.filter(|_| !has_long_number(&call));
        Task::Class { call, runtime }
    })
}

fn has_long_number(call: &Call) -> bool {
    fn is_long(argument: &Argument) -> bool {
        match argument {
            Argument::Integer(number) => i64::try_from(*number).is_err(),
            Argument::List(items) => items.iter().any(is_long),
            Argument::Map(entries) => entries.iter().any(|(_, value)| is_long(value)),
            Argument::None | Argument::Bool(_) | Argument::Float(_) | Argument::Text(_) => false,
        }
    }
    call.args.iter().chain(call.kwargs.iter().map(|(_, value)| value)).any(is_long)
}

fn spec() -> impl Strategy<Value = JobSpec> {
    let task = prop_oneof![
        vec(text(), 1..4).prop_map(Task::Command),
        (text(), vec(text(), 1..3)).prop_map(|(text, shell)| Task::Script { text, shell }),
        class(),
        http().prop_map(Task::Http),
    ];
    let misfire =
        (of(duration()), any::<bool>(), 1..1000_u32).prop_map(|(grace, coalesce, max)| Misfire {
            grace_time: grace.map_or(GraceTime::Unlimited, GraceTime::Within),
            coalesce,
            max_catch_up: max,
        });
    let limits = (of(duration()), duration(), 1..8_000_000_u64, 1..1000_u32);
    let overlaps = vec![Overlap::Skip, Overlap::Queue, Overlap::Replace, Overlap::Allow];
    let words = (of(text()), of(text()), any::<bool>(), select(overlaps));
    let env = btree_map("[A-Z_]{1,8}", prop_oneof![Just(String::new()), text()], 0..4);
    (task, vec(trigger(), 0..4), env, misfire, limits, words).prop_map(
        |(task, triggers, env, misfire, limits, words)| JobSpec {
            name: JobName::parse("job").unwrap(),
            description: words.0,
            enabled: words.2,
            triggers,
            task,
            env,
            working_dir: words.1,
            secrets: BTreeMap::new(),
            params: Params::default(),
            process: ProcessRules::default(),
            timeout: limits.0,
            total_timeout: None,
            retry: None,
            kill_grace: limits.1,
            output_bytes_max: limits.2,
            overlap: words.3,
            max_instances: limits.3,
            max_queued: if words.3 == Overlap::Queue { limits.3 } else { MAX_QUEUED },
            misfire,
            protect: false,
            previous_names: Vec::new(),
            on_remove: OnRemove::default(),
            meta: JobMeta::default(),
        },
    )
}

fn retry() -> impl Strategy<Value = Retry> {
    let waits = (duration(), duration(), any::<bool>(), 0..=1_000_u32);
    let codes = btree_set(1..=255_i32, 0..4);
    (1..=100_u32, waits, codes, any::<bool>()).prop_map(|(limit, waits, codes, again)| Retry {
        limit,
        delay: waits.0,
        backoff: if waits.2 { Backoff::Fixed } else { Backoff::Exponential },
        max_delay: waits.1.max(waits.0),
        jitter_permille: waits.3,
        on_exit_codes: codes.into_iter().collect(),
        on_lost: if again { OnLost::Retry } else { OnLost::Record },
    })
}

fn process() -> impl Strategy<Value = ProcessRules> {
    let codes = btree_set(0..=255_i32, 0..4).prop_map(|codes| {
        let only_zero = codes.iter().all(|code| *code == 0);
        if only_zero { Vec::new() } else { codes.into_iter().collect() }
    });
    let captures = vec![Capture::Both, Capture::Stdout, Capture::Stderr, Capture::None];
    let together = (of(10..=1_024_000_u32), of(1 << 20..1_u64 << 50), of(1..=4_194_304_u32));
    let limits = (of(16..=1_048_576_u32), of(1..1_000_000_u64), together).prop_map(
        |(files, time, (cpu_thousandths, memory_bytes, pids))| Limits {
            files,
            time: time.map(Duration::from_secs),
            cpu_thousandths,
            memory_bytes,
            pids,
        },
    );
    (
        codes,
        of(0..=0o777_u32),
        btree_set("[A-Z][A-Z_]{0,8}", 0..4),
        any::<[bool; 2]>(),
        select(captures),
        limits,
    )
        .prop_map(|(codes, umask, names, [leaves, forward], capture, limits)| ProcessRules {
            success_exit_codes: codes,
            umask,
            user: None,
            inherit_env: names.into_iter().collect(),
            leftovers: if leaves { Leftovers::Leave } else { Leftovers::Kill },
            capture,
            forward,
            limits,
        })
}

/// Parameters, all of which have a default or may be absent, so that any trigger will do.
fn params() -> impl Strategy<Value = Params> {
    let pattern = select(vec!["^[a-z_]+$", "x|\"y\"", "\\d{3}"]);
    let pattern = of(pattern.prop_map(|text| Pattern::parse(text).unwrap()));
    let whole = || of(-9_000_000_000_i64..9_000_000_000);
    let number = || of(any::<f32>().prop_map(f64::from).prop_filter("finite", |n| n.is_finite()));
    // There is one zero.
    let number = || number().prop_map(|bound| bound.map(|bound| bound + 0.0));
    let kind = prop_oneof![
        pattern.prop_map(|pattern| ParamKind::String { pattern }),
        (whole(), whole()).prop_map(|(a, b)| ParamKind::Integer { min: a.min(b), max: a.max(b) }),
        number().prop_map(|min| ParamKind::Number { min, max: None }),
        Just(ParamKind::Boolean),
        Just(ParamKind::Date),
        vec(text(), 1..4).prop_map(|options| ParamKind::Choice { options }),
    ];
    let param = (kind, any::<bool>(), of("[ -~é七]{0,20}"));
    let param = param.prop_map(|(kind, has_default, description)| {
        let example = kind.check(&kind.example().into());
        let absent = match example {
            Ok(text) if has_default => Absent::Default(text),
            Ok(_) | Err(_) => Absent::Allowed,
        };
        Param { kind, absent, description }
    });
    (btree_map("[a-z][a-z0-9_]{0,8}", param, 0..4), zone()).prop_map(|(declared, zone)| {
        let params = Params { declared, zone };
        if params.counts_days() { params } else { Params { zone: Zone::utc(), ..params } }
    })
}

/// Gives triggers the examples of parameters.
fn given(params: &Params, triggers: Vec<Trigger>) -> Vec<Trigger> {
    let one = |(name, param): (&String, &Param)| {
        let text = param.kind.check(&param.kind.example().into()).ok()?;
        Some((name.clone(), text))
    };
    let values: ParamValues = params.declared.iter().filter_map(one).collect();
    triggers.into_iter().map(|trigger| Trigger { params: values.clone(), ..trigger }).collect()
}

/// What is written only when it is said.
fn said() -> impl Strategy<Value = JobSpec> {
    let name = || "[a-z0-9][a-z0-9._-]{0,20}";
    let names = btree_set(name(), 0..4).prop_map(|names| {
        // Their order counts, and is not that of the alphabet.
        let names = names.iter().rev().filter(|name| *name != "job");
        names.map(|name| JobName::parse(name).unwrap()).collect::<Vec<_>>()
    });
    let meta = (
        of("[A-Za-z0-9][A-Za-z0-9._/-]{0,62}"),
        btree_set(name(), 0..4),
        of("[^\\x00-\\x1f\\x7f-\\x9f\\u{2028}\\u{2029}]{1,20}"),
        of("https?://[a-z./?#%é-]{1,20}"),
    );
    let meta = meta.prop_map(|(group, tags, owner, runbook)| JobMeta {
        group,
        tags: tags.into_iter().collect(),
        owner,
        runbook,
    });
    let on_remove = select(vec![OnRemove::Finish, OnRemove::Cancel]);
    let source = prop_oneof![
        "[A-Z_]{1,8}".prop_map(SecretSource::Variable),
        text().prop_filter("a path", |path| !path.is_empty()).prop_map(SecretSource::File),
        ("[a-z/]{1,8}", vec(text(), 0..3)).prop_map(|(program, arguments)| {
            SecretSource::Program([program].into_iter().chain(arguments).collect())
        }),
    ];
    // None of them may be a variable as well.
    let secrets = btree_map("[a-z][a-z_]{0,8}", source, 0..3);
    let rules = (
        of(retry()),
        of(duration()),
        process(),
        secrets,
        params(),
        of("[a-z_]{1,8}(:[a-z0-9]{1,8})?"),
    );
    (spec(), any::<bool>(), names, on_remove, meta, rules).prop_map(
        |(spec, protect, previous_names, on_remove, meta, rules)| JobSpec {
            triggers: given(&rules.4, spec.triggers),
            secrets: rules.3,
            params: rules.4,
            retry: rules.0,
            total_timeout: rules.1,
            // A call has no exit code.
            process: ProcessRules {
                success_exit_codes: match spec.task {
                    Task::Http(_) => Vec::new(),
                    Task::Command(_) | Task::Script { .. } | Task::Class { .. } => {
                        rules.2.success_exit_codes
                    }
                },
                // Nor is it somebody else's.
                user: match spec.task {
                    Task::Command(_) | Task::Script { .. } | Task::Class { .. } => rules.5,
                    Task::Http(_) => None,
                },
                ..rules.2
            },
            protect,
            previous_names,
            on_remove,
            meta,
            ..spec
        },
    )
}

#[test]
fn a_canonical_text_gives_its_job_back() {
    let mut runner = TestRunner::new(Config { cases: 400, ..Config::default() });
    runner
        .run(&said(), |spec| {
            let text = spec.canonical();
            let back = JobSpec::from_canonical(&spec.name, &text);
            proptest::prop_assert_eq!(back.as_ref(), Ok(&spec), "{}", text);
            proptest::prop_assert_eq!(back.map(|spec| spec.canonical()), Ok(text));
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_is_for_people_and_for_removal_is_written_only_when_it_is_said() {
    let silent = jobs("a.yaml", "jobs: { a: { command: a } }");
    let built_in = "jobs: { a: { command: a, tags: [], protect: false, on_remove: finish, previous_names: [] } }";
    assert_eq!(jobs("a.yaml", built_in)["a"].digest(), silent["a"].digest());
    // Of all digests in the stores of the world, this one stands here.
    assert_eq!(silent["a"].digest().to_string(), "ddc1ccaa41411e561be72af94ca69244");
    let said = jobs(
        "a.toml",
        r#"
        [defaults]
        group = "etl"
        tags = ["tier-1"]
        owner = "ann"
        runbook = "https://wiki/etl"
        protect = true
        on_remove = "cancel"
        [jobs.a]
        command = "a"
        tags = ["nightly", "b", "nightly"]
        previous_names = ["z", "y"]
        "#,
    );
    let value: serde_json::Value = serde_json::from_str(&said["a"].canonical()).unwrap();
    let keys = ["group", "tags", "owner", "runbook", "protect", "on_remove", "previous_names"];
    let shown: Vec<String> = keys.iter().map(|key| format!("{key}: {}", value[key])).collect();
    snapbox::assert_data_eq!(
        shown.join("\n"),
        snapbox::str![[r#"
group: "etl"
tags: ["b","nightly"]
owner: "ann"
runbook: "https://wiki/etl"
protect: true
on_remove: "cancel"
previous_names: ["z","y"]
"#]]
        .raw()
    );
}

#[test]
fn a_canonical_text_of_another_time_is_refused_with_its_place() {
    let name = JobName::parse("job").unwrap();
    let errors = JobSpec::from_canonical(&name, r#"{"command":["a"],"priority":2}"#).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].message, "`priority` is not supported yet");
    assert!(JobSpec::from_canonical(&name, "").is_err());
    assert!(JobSpec::from_canonical(&name, "}}, \"x\": {").is_err());
}
