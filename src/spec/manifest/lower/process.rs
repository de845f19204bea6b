//! How a process is started and what its end means: from what is written to the rules.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::spec::manifest::lower::layer::{read_positive, sentence};
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::raw::{
    Given, RawDefaults, RawLimits, RawOutput, RawSize, RawUmask, RawVariable,
};
use crate::spec::manifest::rules::environment::OWN_PREFIX;
use crate::spec::process::{Capture, Leftovers, Limits, ProcessRules};
use crate::spec::size::{SizeText, parse_size};
use crate::spec::task::Task;

/// The least memory that can be asked for: less holds no program.
const MEMORY_BYTES_MIN: u64 = 1 << 20;

/// What one layer says. What turned out to be wrong counts as not written; the complaint is made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProcessLayer {
    /// Ascending, each once; empty: 0 alone. Replaced as a whole.
    pub success_exit_codes: Given<Vec<i32>>,
    /// As written.
    pub user: Given<String>,
    /// File mode creation mask.
    pub umask: Given<u32>,
    /// Ascending, each once; replaced as a whole.
    pub inherit_env: Given<Vec<String>>,
    /// What becomes of them.
    pub leftovers: Given<Leftovers>,
    /// Which streams are kept.
    pub capture: Given<Capture>,
    /// Whether they stand in the daemon's log as well.
    pub forward: Given<bool>,
    /// Replaced as a whole.
    pub limits: Given<Limits>,
}

impl ProcessLayer {
    /// Takes its part out of `raw`; `site` is the map it stands in.
    pub fn take(raw: &mut RawDefaults, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Self {
        let capture = of_output(&raw.output, |output| output.capture);
        let forward = of_output(&raw.output, |output| output.forward);
        let inherit_env = std::mem::take(&mut raw.inherit_env);
        let limits = std::mem::take(&mut raw.limits);
        Self {
            success_exit_codes: std::mem::take(&mut raw.success_exit_codes).map(read_codes),
            user: std::mem::take(&mut raw.user).map(|user| user.0),
            umask: std::mem::take(&mut raw.umask).and_then(|umask| read_umask(&umask)),
            inherit_env: inherit_env
                .map(|names| read_names(names, &site.child("inherit_env"), out)),
            leftovers: raw.leftovers,
            capture,
            forward,
            limits: limits.map(|limits| read_limits(limits, &site.child("limits"), out)),
        }
    }

    /// This layer over the one below.
    #[must_use]
    pub fn over(self, below: &Self) -> Self {
        Self {
            success_exit_codes: self.success_exit_codes.or(|| below.success_exit_codes.clone()),
            user: self.user.or(|| below.user.clone()),
            umask: self.umask.or(|| below.umask),
            inherit_env: self.inherit_env.or(|| below.inherit_env.clone()),
            leftovers: self.leftovers.or(|| below.leftovers),
            capture: self.capture.or(|| below.capture),
            forward: self.forward.or(|| below.forward),
            limits: self.limits.or(|| below.limits),
        }
    }

    /// What is in force for a task; a `user` of defaults may well meet one that has none.
    pub fn rules_of(self, task: &Task) -> ProcessRules {
        let takes_user = match task {
            Task::Command(_) | Task::Script { .. } | Task::Class { .. } => true,
            Task::Http(_) => false,
        };
        ProcessRules {
            success_exit_codes: self.success_exit_codes.value().unwrap_or_default(),
            user: self.user.value().filter(|_| takes_user),
            umask: self.umask.value(),
            inherit_env: self.inherit_env.value().unwrap_or_default(),
            leftovers: self.leftovers.value().unwrap_or_default(),
            capture: self.capture.value().unwrap_or_default(),
            forward: self.forward.unwrap_or(false),
            limits: self.limits.value().unwrap_or_default(),
        }
    }
}

/// A part of `output`, each of which is a layer's own.
fn of_output<T>(output: &Given<RawOutput>, part: impl Fn(&RawOutput) -> Option<T>) -> Given<T> {
    match output {
        Given::Absent => Given::Absent,
        Given::Reset => Given::Reset,
        Given::Value(output) => part(output).map_or(Given::Absent, Given::Value),
    }
}

fn read_codes(raw: Vec<i32>) -> Vec<i32> {
    let codes: BTreeSet<i32> = raw.into_iter().collect();
    // What is built in has one way to be written.
    if codes == BTreeSet::from([0]) { Vec::new() } else { codes.into_iter().collect() }
}

/// The schema has seen to it that there are octal digits only.
fn read_umask(raw: &RawUmask) -> Option<u32> {
    u32::from_str_radix(&raw.0, 8).ok()
}

fn read_names(raw: Vec<RawVariable>, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Vec<String> {
    for (index, RawVariable(name)) in raw.iter().enumerate() {
        if name.starts_with(OWN_PREFIX) {
            let message = format!("{} is a name of the daemon's own", quoted(name));
            let help = "each job process gets its own values of these variables";
            out.push(site.item(index).diagnostic(codes::BAD_ENV_NAME, message).help(help));
        }
    }
    let names: BTreeSet<String> = raw.into_iter().map(|name| name.0).collect();
    names.into_iter().collect()
}

fn read_limits(raw: RawLimits, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Limits {
    let time = raw.time.and_then(|text| read_positive(&text, &site.child("time"), out));
    Limits {
        files: raw.files,
        time: time.map(whole_seconds),
        cpu_thousandths: raw.cpu.map(thousandths),
        memory_bytes: raw.memory.and_then(|size| read_memory(&size, &site.child("memory"), out)),
        pids: raw.pids,
    }
}

/// The schema has seen to it that it is neither negative nor large.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the schema bounds it from 0.01 to 1024"
)]
fn thousandths(cores: f64) -> u32 {
    (cores * 1000.0).round() as u32
}

fn read_memory(raw: &RawSize, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<u64> {
    match parse_size(&raw.0) {
        Ok(bytes) if bytes >= MEMORY_BYTES_MIN => Some(bytes),
        Ok(_) => {
            let message = format!("no process fits into {}", quoted(&raw.0));
            let help = format!("write at least `{}`", SizeText(MEMORY_BYTES_MIN));
            out.push(site.diagnostic(codes::BAD_SIZE, message).help(help));
            None
        }
        Err(error) => {
            out.push(sentence(site, codes::BAD_SIZE, &error.to_string()));
            None
        }
    }
}

/// The kernel counts no finer.
fn whole_seconds(time: Duration) -> Duration {
    let begun = u64::from(time.subsec_nanos() > 0);
    Duration::from_secs(time.as_secs().saturating_add(begun))
}
