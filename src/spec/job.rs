//! Jobs: names, checked definitions, and the set of them that a snapshot declares.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::spec::params::Params;
use crate::spec::policy::{GraceTime, MAX_QUEUED, Misfire, OnLost, OnRemove, Overlap, Retry};
use crate::spec::process::{Capture, ProcessRules};
use crate::spec::secret::SecretSource;
use crate::spec::size::SizeText;
use crate::spec::task::Task;
use crate::spec::trigger::{
    DayCalendar, DayMatch, DayRange, Dialect, IntervalStart, Schedule, Trigger, Window,
    weekday_name,
};
use crate::time::{DurationText, rfc3339};

/// The identity of a job for people: `[a-z0-9][a-z0-9._-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName(Arc<str>);

/// The longest job name, in bytes.
pub const JOB_NAME_BYTES_MAX: usize = 63;

/// Why a text is not a job name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a job name: use 1 to 63 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit"
)]
pub struct JobNameError(pub String);

impl JobName {
    /// Reads a job name.
    pub fn parse(text: &str) -> Result<Self, JobNameError> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let begins =
            text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if begins && text.len() <= JOB_NAME_BYTES_MAX && text.bytes().all(inner) {
            Ok(Self(text.into()))
        } else {
            Err(JobNameError(text.to_owned()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A checked definition: all defaults filled in, nothing left to interpret.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    /// The job's name.
    pub name: JobName,
    /// Free text.
    pub description: Option<String>,
    /// `false`: declared off; nothing is due.
    pub enabled: bool,
    /// When it is due; empty: only on request.
    pub triggers: Vec<Trigger>,
    /// What is done.
    pub task: Task,
    /// Environment variables of the job process.
    pub env: BTreeMap<String, String>,
    /// Variables of the job process whose values are found elsewhere; none of them is in `env`.
    pub secrets: BTreeMap<String, SecretSource>,
    /// What each execution is given.
    pub params: Params,
    /// As written; relative to the folder of the settings file, which is also the default.
    pub working_dir: Option<String>,
    /// How the process is started, and what its end means.
    pub process: ProcessRules,
    /// Of one attempt; none: no limit. Never zero.
    pub timeout: Option<Duration>,
    /// Of waiting and all attempts; none: no limit. Never zero.
    pub total_timeout: Option<Duration>,
    /// Further attempts; none: there is one.
    pub retry: Option<Retry>,
    /// Between TERM and KILL.
    pub kill_grace: Duration,
    /// How much of stdout and stderr together is kept, half head, half tail.
    pub output_bytes_max: u64,
    /// What a surplus occurrence becomes.
    pub overlap: Overlap,
    /// How many executions may be in flight; at least 1.
    pub max_instances: u32,
    /// With `overlap: queue`: how many may wait; at least 1. [`MAX_QUEUED`] otherwise.
    pub max_queued: u32,
    /// What a late occurrence becomes.
    pub misfire: Misfire,
    /// It is not removed before a person has confirmed that.
    pub protect: bool,
    /// Names under which it was known: the first of them that is applied goes on as this job (D5).
    pub previous_names: Vec<JobName>,
    /// What becomes of its executions when it is removed.
    pub on_remove: OnRemove,
    /// What only people read.
    pub meta: JobMeta,
}

/// What of a job only people read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobMeta {
    /// The one group that it belongs to.
    pub group: Option<String>,
    /// Sorted, each once.
    pub tags: Vec<String>,
    /// Whom to ask.
    pub owner: Option<String>,
    /// Where it says what to do when it fails.
    pub runbook: Option<String>,
}

impl JobSpec {
    /// The job as JSON text in the grammar of manifests: all defaults filled in, keys sorted, values
    /// in normal form. Equal texts mean equal jobs; the name is not in it. What the store and the
    /// last good snapshot keep; `from_canonical` (`spec::manifest::canonical`) is the way back.
    pub fn canonical(&self) -> String {
        let mut job = Map::new();
        if let Some(description) = &self.description {
            job.insert("description".to_owned(), json!(description));
        }
        match &self.task {
            Task::Command(argv) => {
                job.insert("command".to_owned(), json!(argv));
            }
            Task::Script { text, shell } => {
                job.insert("script".to_owned(), json!(text));
                job.insert("shell".to_owned(), json!(shell));
            }
            Task::Class { call, runtime } => {
                job.insert("class".to_owned(), call.said(*runtime));
            }
            Task::Http(call) => {
                job.insert("http".to_owned(), json!(call));
            }
        }
        let triggers: Vec<Value> = self.triggers.iter().map(trigger_value).collect();
        let grace_time = match self.misfire.grace_time {
            GraceTime::Within(grace) => DurationText(grace).to_string(),
            GraceTime::Unlimited => "unlimited".to_owned(),
        };
        let misfire = json!({
            "coalesce": self.misfire.coalesce,
            "grace_time": grace_time,
            "max_catch_up": self.misfire.max_catch_up,
        });
        let mut output = json!({ "max_size": SizeText(self.output_bytes_max).to_string() });
        if self.process.capture != Capture::default() {
            output["capture"] = json!(self.process.capture.as_str());
        }
        if self.process.forward {
            output["forward"] = json!(true);
        }
        let fields = [
            ("enabled", json!(self.enabled)),
            ("env", json!(self.env)),
            ("kill_grace", duration_value(self.kill_grace)),
            ("max_instances", json!(self.max_instances)),
            ("misfire", misfire),
            ("output", output),
            ("overlap", json!(self.overlap.as_str())),
            ("timeout", self.timeout.map_or(Value::Null, duration_value)),
            ("triggers", Value::Array(triggers)),
            ("working_dir", json!(self.working_dir)),
        ];
        job.extend(fields.map(|(key, value)| (key.to_owned(), value)));
        job.extend(self.said_only().map(|(key, value)| (key.to_owned(), value)));
        printable(&Value::Object(job).to_string())
    }

    /// Fields that are written only when they differ from what is built in: they came later than the
    /// others, and the digests of stored jobs must not change.
    fn said_only(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let meta = &self.meta;
        let when = |is_said: bool, value: Value| is_said.then_some(value);
        let previous_names: Vec<&str> = self.previous_names.iter().map(JobName::as_str).collect();
        let on_lost = self.retry.as_ref().map(|retry| retry.on_lost);
        let on_lost = on_lost.filter(|on_lost| *on_lost != OnLost::default());
        let on_remove = json!(self.on_remove.as_str());
        let fields = [
            ("max_queued", when(self.max_queued != MAX_QUEUED, json!(self.max_queued))),
            ("group", meta.group.as_ref().map(|group| json!(group))),
            ("on_remove", when(self.on_remove != OnRemove::default(), on_remove)),
            ("on_lost", on_lost.map(|on_lost| json!(on_lost.as_str()))),
            ("owner", meta.owner.as_ref().map(|owner| json!(owner))),
            ("params", when(!self.params.declared.is_empty(), self.params.said())),
            ("timezone", self.params.counts_days().then(|| json!(self.params.zone.name()))),
            ("previous_names", when(!previous_names.is_empty(), json!(previous_names))),
            ("protect", when(self.protect, json!(true))),
            ("retry", self.retry.as_ref().map(retry_value)),
            ("secrets", when(!self.secrets.is_empty(), secrets_value(&self.secrets))),
            ("runbook", meta.runbook.as_ref().map(|runbook| json!(runbook))),
            ("tags", when(!meta.tags.is_empty(), json!(meta.tags))),
            ("total_timeout", self.total_timeout.map(duration_value)),
        ];
        let fields = fields.into_iter().filter_map(|(key, value)| Some((key, value?)));
        fields.chain(self.process.said())
    }

    /// The digest of [`Self::canonical`].
    pub fn digest(&self) -> Digest {
        let hash = blake3::hash(self.canonical().as_bytes()).to_hex();
        Digest(hash.as_str().chars().take(DIGEST_DIGITS).collect::<String>().into())
    }

    /// The triggers in normal form: equal texts mean equal triggers (D1).
    pub fn triggers_normal(&self) -> Vec<String> {
        self.triggers.iter().map(ToString::to_string).collect()
    }
}

/// JSON allows characters inside texts that a reader of YAML refuses or folds: they are escaped.
fn printable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for sign in json.chars() {
        match sign {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                // All of them have four digits at most.
                text.push_str("\\u");
                for shift in [12, 8, 4, 0] {
                    let digit = char::from_digit((u32::from(sign) >> shift) & 0xf, 16);
                    text.extend(digit);
                }
            }
            _ => text.push(sign),
        }
    }
    text
}

/// 128 bits.
const DIGEST_DIGITS: usize = 32;

fn duration_value(duration: Duration) -> Value {
    Value::String(DurationText(duration).to_string())
}

fn retry_value(retry: &Retry) -> Value {
    let mut value = json!({
        "backoff": retry.backoff.as_str(),
        "delay": duration_value(retry.delay),
        "jitter": f64::from(retry.jitter_permille) / 1_000.0,
        "limit": retry.limit,
        "max_delay": duration_value(retry.max_delay),
    });
    if !retry.on_exit_codes.is_empty() {
        value["on_exit_codes"] = json!(retry.on_exit_codes);
    }
    value
}

fn secrets_value(secrets: &BTreeMap<String, SecretSource>) -> Value {
    secrets.iter().map(|(name, source)| (name.clone(), source.said())).collect()
}

/// A trigger as an entry of `triggers`.
fn trigger_value(trigger: &Trigger) -> Value {
    let mut entry = Map::new();
    let mut put = |key: &str, value: String| entry.insert(key.to_owned(), Value::String(value));
    put("timezone", trigger.zone().name().to_owned());
    match &trigger.schedule {
        Schedule::Cron(cron) => {
            put("cron", cron.expr.to_string());
            cron.start_date.map(|at| put("start_date", rfc3339(at)));
            cron.end_date.map(|at| put("end_date", rfc3339(at)));
            cron.gap.map(|gap| put("gap", gap.as_str().to_owned()));
            cron.fold.map(|fold| put("fold", fold.as_str().to_owned()));
            if cron.expr.dialect() != Dialect::Standard {
                put("dialect", cron.expr.dialect().as_str().to_owned());
            }
            if cron.expr.day_match() != DayMatch::Any {
                put("day_match", cron.expr.day_match().as_str().to_owned());
            }
        }
        Schedule::Interval(interval) => {
            put("interval", DurationText(interval.period()).to_string());
            interval.anchor().map(|at| put("anchor", rfc3339(at)));
            match interval.start() {
                IntervalStart::Applied => {}
                IntervalStart::AfterApplied(delay) => {
                    put("start_date", format!("+{}", DurationText(delay)));
                }
                IntervalStart::At(at) => {
                    put("start_date", rfc3339(at));
                }
            }
            interval.end_date().map(|at| put("end_date", rfc3339(at)));
        }
        Schedule::Date(date) => {
            put("date", rfc3339(date.at()));
        }
    }
    if !trigger.jitter.is_zero() {
        put("jitter", DurationText(trigger.jitter).to_string());
    }
    if !trigger.params.is_empty() {
        entry.insert("params".to_owned(), json!(trigger.params));
    }
    if let Some(calendar) = &trigger.filter.calendar {
        entry.insert("calendar".to_owned(), days_value(calendar));
    }
    if !trigger.filter.exclude.is_empty() {
        let windows: Vec<Value> = trigger.filter.exclude.iter().map(window_value).collect();
        entry.insert("exclude".to_owned(), json!([{ "windows": windows }]));
    }
    Value::Object(entry)
}

/// A calendar written on the spot, since the one that it came from may change or go.
fn days_value(calendar: &DayCalendar) -> Value {
    let texts =
        |ranges: &[DayRange]| -> Vec<String> { ranges.iter().map(ToString::to_string).collect() };
    let weekdays: Vec<&str> = calendar.weekdays().map(weekday_name).collect();
    let mut value = json!({ "weekdays": weekdays });
    for (key, ranges) in [("except", calendar.except()), ("also", calendar.also())] {
        if !ranges.is_empty() {
            value[key] = json!(texts(ranges));
        }
    }
    value
}

fn window_value(window: &Window) -> Value {
    match window {
        Window::Once { start, end } => json!({ "start": rfc3339(*start), "end": rfc3339(*end) }),
        Window::Recurring { cron, duration } => {
            let mut value = json!({
                "cron": cron.expr.to_string(),
                "duration": DurationText(*duration).to_string(),
            });
            if cron.expr.day_match() != DayMatch::Any {
                value["day_match"] = json!(cron.expr.day_match().as_str());
            }
            value
        }
    }
}

/// The digest of a job spec in canonical form: 32 hexadecimal digits (128 bits of BLAKE3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub Arc<str>);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a definition stands: path relative to the folder of the settings, and line (from 1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SourcePlace {
    /// The manifest.
    pub file: String,
    /// The line of the job's name.
    pub line: u32,
}

/// A job as a snapshot declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredJob {
    /// The definition.
    pub spec: Arc<JobSpec>,
    /// Digest of [`JobSpec::canonical`].
    pub digest: Digest,
    /// Where it stands.
    pub source: SourcePlace,
}

/// The jobs of a snapshot, by name: unique by construction.
pub type JobSet = BTreeMap<JobName, DeclaredJob>;
