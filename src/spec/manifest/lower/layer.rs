//! Layers: what defaults and jobs may both say, checked value by value where it is written, and laid
//! over each other (built-in < settings < folders < manifest < job).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::spec::manifest::lower::process::ProcessLayer;
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::lower::{retry, secrets};
use crate::spec::manifest::raw::{
    Given, RawDefaults, RawDuration, RawEnv, RawMisfire, RawOutput, RawTag, RawZone,
};
use crate::spec::manifest::rules::environment;
use crate::spec::policy::{GraceTime, Misfire, OnLost, OnRemove, Overlap, Retry};
use crate::spec::secret::SecretSource;
use crate::spec::size::parse_size;
use crate::time::{Zone, parse_duration};

/// The most output that may be kept of one execution, in bytes.
pub const OUTPUT_BYTES_MAX: u64 = 8 << 20;

/// One layer. What turned out to be wrong counts as not written; the complaint is made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layer {
    /// The zone of triggers that name none.
    pub timezone: Given<Zone>,
    /// Declared on or off.
    pub enabled: Given<bool>,
    /// By name; `Reset` takes a variable of the layers below away.
    pub env: Given<BTreeMap<String, Given<String>>>,
    /// By name; `Reset` takes a secret of the layers below away.
    pub secrets: Given<BTreeMap<String, Given<SecretSource>>>,
    /// As written.
    pub working_dir: Given<String>,
    /// How the process is started, and what its end means.
    pub process: ProcessLayer,
    /// Never empty.
    pub shell: Given<Vec<String>>,
    /// Of one attempt; never zero.
    pub timeout: Given<Duration>,
    /// Of waiting and all attempts; never zero.
    pub total_timeout: Given<Duration>,
    /// None: no further attempts; replaced as a whole.
    pub retry: Given<Option<Retry>>,
    /// What becomes of an execution of which an attempt is lost.
    pub on_lost: Given<OnLost>,
    /// Between TERM and KILL.
    pub kill_grace: Given<Duration>,
    /// Of stdout and stderr together.
    pub output_bytes_max: Given<u64>,
    /// What a surplus occurrence becomes.
    pub overlap: Given<Overlap>,
    /// At least 1.
    pub max_instances: Given<u32>,
    /// At least 1; for `overlap: queue`.
    pub max_queued: Given<u32>,
    /// What a late occurrence becomes; replaced as a whole.
    pub misfire: Given<Misfire>,
    /// The one group.
    pub group: Given<String>,
    /// Sorted, each once; replaced as a whole.
    pub tags: Given<Vec<String>>,
    /// Whom to ask.
    pub owner: Given<String>,
    /// Where it says what to do when the job fails.
    pub runbook: Given<String>,
    /// Whether a person must confirm that the job is removed.
    pub protect: Given<bool>,
    /// What becomes of executions when the job is removed.
    pub on_remove: Given<OnRemove>,
}

impl Layer {
    /// Reads a layer; `site` is the map it stands in.
    pub fn read(mut raw: RawDefaults, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Self {
        Self {
            process: ProcessLayer::take(&mut raw, site, out),
            timezone: raw.timezone.and_then(|zone| read_zone(&zone, &site.child("timezone"), out)),
            enabled: raw.enabled,
            env: raw.env.map(|env| read_env(env, &site.child("env"), out)),
            secrets: raw.secrets.map(|raw| secrets::read(raw, &site.child("secrets"), out)),
            working_dir: raw.working_dir,
            shell: raw.shell.and_then(|shell| read_shell(shell, &site.child("shell"), out)),
            timeout: raw.timeout.and_then(|text| read_positive(&text, &site.child("timeout"), out)),
            total_timeout: raw
                .total_timeout
                .and_then(|text| read_positive(&text, &site.child("total_timeout"), out)),
            retry: raw.retry.map(|raw| retry::read(raw, &site.child("retry"), out)),
            on_lost: raw.on_lost,
            kill_grace: raw
                .kill_grace
                .and_then(|text| read_duration(&text, &site.child("kill_grace"), out)),
            output_bytes_max: read_output(raw.output, &site.child("output"), out),
            overlap: raw.overlap,
            max_instances: raw.max_instances,
            max_queued: raw.max_queued,
            misfire: raw.misfire.map(|raw| read_misfire(raw, &site.child("misfire"), out)),
            group: raw.group.map(|group| group.0),
            tags: raw.tags.map(read_tags),
            owner: raw.owner.map(|owner| owner.0),
            runbook: raw.runbook.map(|runbook| runbook.0),
            protect: raw.protect,
            on_remove: raw.on_remove,
        }
    }

    /// This layer over the one below.
    #[must_use]
    pub fn over(self, below: &Self) -> Self {
        Self {
            timezone: self.timezone.or(|| below.timezone.clone()),
            enabled: self.enabled.or(|| below.enabled),
            env: merged(self.env, &below.env),
            secrets: merged(self.secrets, &below.secrets),
            working_dir: self.working_dir.or(|| below.working_dir.clone()),
            process: self.process.over(&below.process),
            shell: self.shell.or(|| below.shell.clone()),
            timeout: self.timeout.or(|| below.timeout),
            total_timeout: self.total_timeout.or(|| below.total_timeout),
            retry: self.retry.or(|| below.retry.clone()),
            on_lost: self.on_lost.or(|| below.on_lost),
            kill_grace: self.kill_grace.or(|| below.kill_grace),
            output_bytes_max: self.output_bytes_max.or(|| below.output_bytes_max),
            overlap: self.overlap.or(|| below.overlap),
            max_instances: self.max_instances.or(|| below.max_instances),
            max_queued: self.max_queued.or(|| below.max_queued),
            misfire: self.misfire.or(|| below.misfire),
            group: self.group.or(|| below.group.clone()),
            tags: self.tags.or(|| below.tags.clone()),
            owner: self.owner.or(|| below.owner.clone()),
            runbook: self.runbook.or(|| below.runbook.clone()),
            protect: self.protect.or(|| below.protect),
            on_remove: self.on_remove.or(|| below.on_remove),
        }
    }
}

/// Maps merge by key.
fn merged<T: Clone>(
    above: Given<BTreeMap<String, Given<T>>>,
    below: &Given<BTreeMap<String, Given<T>>>,
) -> Given<BTreeMap<String, Given<T>>> {
    match (above, below) {
        (Given::Absent, below) => below.clone(),
        (Given::Value(mut map), Given::Value(below)) => {
            for (name, value) in below {
                map.entry(name.clone()).or_insert_with(|| value.clone());
            }
            Given::Value(map)
        }
        (above @ (Given::Reset | Given::Value(_)), _) => above,
    }
}

/// A zone by its name.
pub fn read_zone(raw: &RawZone, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<Zone> {
    match Zone::load(&raw.0) {
        Ok(zone) => Some(zone),
        Err(error) => {
            out.push(site.diagnostic(codes::UNKNOWN_ZONE, error.to_string()).help(error.help));
            None
        }
    }
}

/// A duration, zero included.
pub fn read_duration(
    raw: &RawDuration,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Duration> {
    match parse_duration(&raw.0) {
        Ok(duration) => Some(duration),
        Err(error) => {
            out.push(sentence(site, codes::BAD_DURATION, &error.to_string()));
            None
        }
    }
}

/// A duration above zero.
pub fn read_positive(
    raw: &RawDuration,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Duration> {
    let duration = read_duration(raw, site, out)?;
    if duration.is_zero() {
        let message = format!("{} would end every attempt at once", quoted(&raw.0));
        out.push(site.diagnostic(codes::ZERO_DURATION, message).help("leave it out for no limit"));
        return None;
    }
    Some(duration)
}

/// A parser's sentence "X; write Y" as message and help.
pub fn sentence(site: &Site<'_>, code: &'static str, text: &str) -> Diagnostic {
    match text.split_once("; ") {
        Some((message, help)) => site.diagnostic(code, message).help(help),
        None => site.diagnostic(code, text),
    }
}

fn read_env(
    raw: RawEnv,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Given<String>> {
    environment::check(&raw.0, site, out);
    raw.0
}

fn read_shell(
    shell: Vec<String>,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Vec<String>> {
    if shell.first().is_none_or(String::is_empty) {
        let message = "the first word of a shell is the program, and it is empty";
        out.push(site.item(0).diagnostic(codes::EMPTY_TASK, message));
        return None;
    }
    Some(shell)
}

fn read_output(raw: Given<RawOutput>, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Given<u64> {
    let written = match raw {
        Given::Absent => return Given::Absent,
        Given::Reset => return Given::Reset,
        Given::Value(output) => output.max_size,
    };
    let Some(written) = written else { return Given::Absent };
    let site = site.child("max_size");
    match parse_size(&written.0) {
        Ok(bytes) if bytes <= OUTPUT_BYTES_MAX => Given::Value(bytes),
        Ok(_) => {
            let message = format!("{} is more than can be kept", quoted(&written.0));
            out.push(site.diagnostic(codes::BAD_SIZE, message).help("write at most `8MiB`"));
            Given::Absent
        }
        Err(error) => {
            out.push(sentence(&site, codes::BAD_SIZE, &error.to_string()));
            Given::Absent
        }
    }
}

/// In an order of their own: the one in which they are written means nothing.
fn read_tags(raw: Vec<RawTag>) -> Vec<String> {
    let tags: BTreeSet<String> = raw.into_iter().map(|tag| tag.0).collect();
    tags.into_iter().collect()
}

fn read_misfire(raw: RawMisfire, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Misfire {
    let built_in = Misfire::default();
    let grace_time = raw.grace_time.and_then(|grace| match grace.0.as_str() {
        "unlimited" => Some(GraceTime::Unlimited),
        _ => read_duration(&RawDuration(grace.0), &site.child("grace_time"), out)
            .map(GraceTime::Within),
    });
    Misfire {
        grace_time: grace_time.unwrap_or(built_in.grace_time),
        coalesce: raw.coalesce.unwrap_or(built_in.coalesce),
        max_catch_up: raw.max_catch_up.unwrap_or(built_in.max_catch_up),
    }
}
