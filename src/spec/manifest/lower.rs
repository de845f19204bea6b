//! From what is written to what is meant: a decoded job with the layers below it becomes a
//! [`JobSpec`]. One function per group of fields; each returns its value and pushes its complaints.

pub mod calendars;
pub mod class;
pub mod conditions;
pub mod http;
pub mod layer;
pub mod names;
pub mod params;
pub mod process;
pub mod retry;
pub mod secrets;
pub mod site;
pub mod task;
pub mod templates;
pub mod triggers;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, codes};
use crate::spec::job::{JobMeta, JobName, JobSpec};
use crate::spec::manifest::lower::calendars::Calendars;
use crate::spec::manifest::lower::layer::Layer;
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::lower::templates::Sources;
use crate::spec::manifest::lower::triggers::RawTriggers;
use crate::spec::manifest::raw::{Given, RawJob};
use crate::spec::manifest::rules::environment;
use crate::spec::policy::{MAX_QUEUED, OnLost, OnRemove, Overlap, Retry};
use crate::spec::task::{DEFAULT_SHELL, Task};
use crate::time::Zone;

/// From TERM to KILL, where nothing else is said.
pub const KILL_GRACE: Duration = Duration::from_secs(10);
/// What is kept of the output, where nothing else is said: 128 KiB.
pub const OUTPUT_BYTES: u64 = 128 << 10;

/// A job; none when there is an error, which has been pushed. `site` is the job's map.
pub fn job(
    name: &JobName,
    mut raw: RawJob,
    below: &Layer,
    calendars: &Calendars,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<JobSpec> {
    let before = out.len();
    let own = Layer::read(raw.defaults(), site, out);
    for refuse in [refuse_idle_shell, refuse_idle_codes, refuse_idle_user] {
        refuse(&raw, &own, site, out);
    }
    let own_max_queued = own.max_queued != Given::Absent;
    let own_on_lost = own.on_lost == Given::Value(OnLost::Retry);
    let layer = own.over(below);
    let overlap = layer.overlap.unwrap_or(Overlap::Skip);
    refuse_idle_max_queued(own_max_queued, overlap, site, out);
    let on_lost = layer.on_lost.unwrap_or(OnLost::default());
    let retry = layer.retry.value().flatten().map(|retry| Retry { on_lost, ..retry });
    refuse_idle_on_lost(own_on_lost, retry.as_ref(), site, out);
    let zone = layer.timezone.value().unwrap_or_else(Zone::utc);
    let env = flatten(layer.env);
    let secrets = flatten(layer.secrets);
    secrets::refuse_doubled(&secrets, &env, site, out);
    check_env_size(&env, site, out);
    let params = params::read(raw.params.take().unwrap_or_default(), &zone, site, out);
    params::refuse_taken(&params, env.keys(), &site.child("env"), out);
    params::refuse_taken(&params, secrets.keys(), &site.child("secrets"), out);
    let sources = Sources { secrets: &secrets, params: &params };
    let task = read_task(&raw, layer.shell, sources, site, out);
    let triggers = RawTriggers::take(&mut raw);
    let around = triggers::Around { zone: &zone, calendars, params: &params };
    let triggers = triggers::read(&triggers, around, site, out);
    params::check_complete(&params, &triggers, site, out);
    let previous_names = names::read(name, raw.previous_names, &site.child("previous_names"), out);
    let faulty = out.iter().skip(before).any(Diagnostic::is_error);
    let task = task.filter(|_| !faulty)?;
    Some(JobSpec {
        process: layer.process.rules_of(&task),
        name: name.clone(),
        description: raw.description,
        enabled: layer.enabled.unwrap_or(true),
        triggers,
        task,
        env,
        secrets,
        params,
        working_dir: layer.working_dir.value(),
        timeout: layer.timeout.value(),
        total_timeout: layer.total_timeout.value(),
        retry,
        kill_grace: layer.kill_grace.unwrap_or(KILL_GRACE),
        output_bytes_max: layer.output_bytes_max.unwrap_or(OUTPUT_BYTES),
        overlap,
        max_instances: layer.max_instances.unwrap_or(1),
        max_queued: match overlap {
            Overlap::Queue => layer.max_queued.unwrap_or(MAX_QUEUED),
            // Out of defaults, for the jobs that queue.
            Overlap::Skip | Overlap::Replace | Overlap::Allow => MAX_QUEUED,
        },
        misfire: layer.misfire.value().unwrap_or_default(),
        protect: layer.protect.unwrap_or(false),
        previous_names,
        on_remove: layer.on_remove.unwrap_or(OnRemove::default()),
        meta: JobMeta {
            group: layer.group.value(),
            tags: layer.tags.value().unwrap_or_default(),
            owner: layer.owner.value(),
            runbook: layer.runbook.value(),
        },
    })
}

fn read_task(
    raw: &RawJob,
    shell: Given<Vec<String>>,
    sources: Sources<'_>,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Task> {
    match (&raw.command, &raw.script, &raw.class, &raw.http) {
        (Some(command), _, _, _) => {
            task::read_command(command, sources, &site.child("command"), out).map(Task::Command)
        }
        (None, Some(script), _, _) => {
            task::check_script(script, &site.child("script"), out)?;
            let built_in = || DEFAULT_SHELL.map(str::to_owned).to_vec();
            let shell = shell.value().unwrap_or_else(built_in);
            Some(Task::Script { text: script.clone(), shell })
        }
        (None, None, Some(class), _) => class::read(class, sources, &site.child("class"), out),
        (None, None, None, Some(call)) => {
            http::read(call, sources, &site.child("http"), out).map(Task::Http)
        }
        // The schema asks for one of them.
        (None, None, None, None) => None,
    }
}

/// `shell` in a job that has no script; a default may well meet such a job.
fn refuse_idle_shell(raw: &RawJob, own: &Layer, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    let (kind, why) = if raw.command.is_some() {
        ("command", "started without one")
    } else if raw.class.is_some() {
        ("class", "called without one")
    } else if raw.http.is_some() {
        ("http", "made without one")
    } else {
        return;
    };
    if own.shell != Given::Absent {
        let message = format!("`shell` does nothing beside `{kind}`, which is {why}");
        let help = format!("remove it, or write `script` in place of `{kind}`");
        out.push(site.key("shell").diagnostic(codes::IDLE_FIELD, message).help(help));
    }
}

/// The process of an HTTP call has no exit code of its own.
fn refuse_idle_codes(raw: &RawJob, own: &Layer, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    if raw.http.is_some() && own.process.success_exit_codes != Given::Absent {
        let message = "`success_exit_codes` does nothing beside `http`, which ends with a status";
        let help = "remove it: `expect: { status: [200] }` says which answers are successes";
        let place = site.key("success_exit_codes");
        out.push(place.diagnostic(codes::IDLE_FIELD, message).help(help));
    }
}

/// A process of the daemon's own, which needs what is its alone.
fn refuse_idle_user(raw: &RawJob, own: &Layer, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    if own.process.user != Given::Absent && raw.http.is_some() {
        let message = "`user` does nothing beside `http`, which the daemon calls itself";
        out.push(site.key("user").diagnostic(codes::IDLE_FIELD, message).help("remove it"));
    }
}

/// `max_queued` in a job of which nothing is queued; a default may well meet such a job.
fn refuse_idle_max_queued(
    is_own: bool,
    overlap: Overlap,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) {
    if is_own && overlap != Overlap::Queue {
        let message = format!("`max_queued` does nothing with `overlap: {}`", overlap.as_str());
        let help = "remove it, or write `overlap: queue`";
        out.push(site.key("max_queued").diagnostic(codes::IDLE_FIELD, message).help(help));
    }
}

/// `on_lost: retry` in a job without retries; a default may well meet such a job.
fn refuse_idle_on_lost(
    is_own: bool,
    retry: Option<&Retry>,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) {
    if is_own && retry.is_none() {
        let message = "`on_lost: retry` does nothing without `retry`, which says how often";
        let help = "remove it, or write `retry: 1`";
        out.push(site.key("on_lost").diagnostic(codes::IDLE_FIELD, message).help(help));
    }
}

fn flatten<T>(layers: Given<BTreeMap<String, Given<T>>>) -> BTreeMap<String, T> {
    let layers = layers.value().unwrap_or_default();
    layers.into_iter().filter_map(|(name, value)| Some((name, value.value()?))).collect()
}

/// Each layer may be small enough and all together too large.
fn check_env_size(env: &BTreeMap<String, String>, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    let bytes = environment::size(env.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let said = out.iter().any(|diagnostic| diagnostic.code == codes::ENV_TOO_LARGE);
    if bytes > environment::TEXT_BYTES_MAX && !said {
        let message = format!(
            "the variables of this job, defaults included, are {bytes} bytes, more than {}",
            environment::TEXT_BYTES_MAX
        );
        out.push(site.diagnostic(codes::ENV_TOO_LARGE, message));
    }
}
