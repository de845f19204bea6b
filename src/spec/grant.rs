//! What a job may say that no file declares (D13): write access to Redis or to the store is not code execution.
//!
//! Such a job names a class of the registry, when it is due, and how often it is tried. Whatever decides how a
//! process is started is what the settings give every job. The same rule holds when it is declared, and when its
//! definition is read back from the store, where anybody may have written.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::spec::job::JobSpec;
use crate::spec::manifest::lower::layer::Layer;
use crate::spec::manifest::{Content, Known, ManifestFile, load};
use crate::spec::task::TaskKind;

/// Keys, in canonical form, that do not decide how a process is started.
const FREE: [&str; 22] = [
    "class",
    "description",
    "enabled",
    "group",
    "kill_grace",
    "max_instances",
    "max_queued",
    "misfire",
    "on_lost",
    "on_remove",
    "output",
    "overlap",
    "owner",
    "params",
    "protect",
    "retry",
    "runbook",
    "tags",
    "timeout",
    "timezone",
    "total_timeout",
    "triggers",
];

/// A job without anything of its own: what it says, the settings say for every job.
const USUAL: &str = "{\"jobs\":{\"usual\":{\"command\":[\"true\"],\"triggers\":[]}}}";

/// What such a job may say.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    kinds: BTreeSet<TaskKind>,
    usual: Map<String, Value>,
}

/// What it says beyond that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ungranted {
    /// Its task is of another kind.
    #[error("its task may not be a `{}`", .0.as_str())]
    Kind(TaskKind),
    /// It says how its process is started.
    #[error("it may not say `{0}`")]
    Key(String),
    /// It is no job.
    #[error("it has no task")]
    NoTask,
}

impl Grant {
    /// Tasks of these kinds, in a program with these defaults.
    pub fn new(kinds: BTreeSet<TaskKind>, defaults: &Arc<Layer>) -> Self {
        let file = ManifestFile {
            path: "usual.json".into(),
            source: "".into(),
            content: Content::Bytes(USUAL.as_bytes().into()),
        };
        let known = Known { defaults: Arc::clone(defaults), ..Known::default() };
        let usual = load(&[file], &known).jobs.into_values().next();
        let usual = usual.map(|job| canonical(&job.spec)).unwrap_or_default();
        Self { kinds, usual }
    }

    /// Checks a definition.
    ///
    /// # Errors
    ///
    /// With the first thing that goes too far.
    pub fn check(&self, spec: &JobSpec) -> Result<(), Ungranted> {
        self.check_canonical(&canonical(spec))
    }

    /// Checks a definition in canonical form, whoever wrote it.
    ///
    /// # Errors
    ///
    /// With the first thing that goes too far.
    pub fn check_canonical(&self, spec: &Map<String, Value>) -> Result<(), Ungranted> {
        let is_of = |kind: &TaskKind| spec.contains_key(kind.as_str());
        if let Some(kind) =
            TaskKind::ALL.iter().find(|kind| is_of(kind) && !self.kinds.contains(*kind))
        {
            return Err(Ungranted::Kind(*kind));
        }
        let kind = TaskKind::ALL.into_iter().find(is_of).ok_or(Ungranted::NoTask)?;
        // Whoever may name a program may start it in any way.
        if matches!(kind, TaskKind::Command | TaskKind::Script) {
            return Ok(());
        }
        let goes_too_far = |(key, value): &(&String, &Value)| {
            let is_free = FREE.contains(&key.as_str()) || key.as_str() == kind.as_str();
            !is_free && self.usual.get(*key) != Some(*value)
        };
        let taken_away = self.usual.keys().find(|key| {
            !FREE.contains(&key.as_str()) && key.as_str() != "command" && !spec.contains_key(*key)
        });
        match spec.iter().find(goes_too_far).map(|(key, _)| key).or(taken_away) {
            Some(key) => Err(Ungranted::Key(key.clone())),
            None => Ok(()),
        }
    }
}

fn canonical(spec: &JobSpec) -> Map<String, Value> {
    serde_json::from_str(&spec.canonical()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(grant: &Grant, job: &str) -> String {
        let spec: Map<String, Value> = serde_json::from_str(job).unwrap();
        let base = grant.usual.clone().into_iter().filter(|(key, _)| key != "command");
        let whole: Map<String, Value> = base.chain(spec).collect();
        grant.check_canonical(&whole).map_or_else(|error| error.to_string(), |()| "ok".to_owned())
    }

    #[test]
    fn a_job_that_no_file_declares_cannot_say_how_its_process_is_started() {
        let class = Grant::new(BTreeSet::from([TaskKind::Class]), &Arc::default());
        for (job, expected) in [
            (r#"{"class":"a.B()","triggers":[{"cron":"0 3 * * *"}],"timeout":"5s"}"#, "ok"),
            (r#"{"class":"a.B()","group":"g","retry":{"limit":1},"protect":true}"#, "ok"),
            (r#"{"command":["id"]}"#, "its task may not be a `command`"),
            (r#"{"class":"a.B()","command":["id"]}"#, "its task may not be a `command`"),
            (r#"{"script":"id"}"#, "its task may not be a `script`"),
            (r#"{"http":{"url":"http://x"}}"#, "its task may not be a `http`"),
            (r#"{"class":"a.B()","env":{"LD_PRELOAD":"/tmp/x.so"}}"#, "it may not say `env`"),
            (
                r#"{"class":"a.B()","secrets":{"X":{"file":"/etc/shadow"}}}"#,
                "it may not say `secrets`",
            ),
            (r#"{"class":"a.B()","user":"root"}"#, "it may not say `user`"),
            (r#"{"class":"a.B()","working_dir":"/tmp"}"#, "it may not say `working_dir`"),
            (r#"{"class":"a.B()","leftovers":"leave"}"#, "it may not say `leftovers`"),
            (r#"{"class":"a.B()","previous_names":["b"]}"#, "it may not say `previous_names`"),
            (r#"{"class":"a.B()","tomorrow":1}"#, "it may not say `tomorrow`"),
            (r"{}", "it has no task"),
        ] {
            assert_eq!(checked(&class, job), expected, "{job}");
        }
        let more = Grant::new(BTreeSet::from([TaskKind::Command, TaskKind::Http]), &Arc::default());
        assert_eq!(checked(&more, r#"{"command":["id"],"env":{"A":"1"}}"#), "ok");
        assert_eq!(checked(&more, r#"{"http":{"url":"http://x"}}"#), "ok");
        assert_eq!(
            checked(&more, r#"{"http":{"url":"http://x"},"secrets":{"X":{"env":"Y"}}}"#),
            "it may not say `secrets`"
        );
        assert_eq!(checked(&more, r#"{"class":"a.B()"}"#), "its task may not be a `class`");
    }

    #[test]
    fn what_the_settings_give_every_job_is_granted_and_must_stay() {
        let text = "jobs: { x: { command: [a], env: { A: '1' }, limits: { files: 64 } } }";
        let content = Content::Bytes(text.as_bytes().into());
        let file = ManifestFile { path: "x.yaml".into(), source: "".into(), content };
        let spec = load(&[file], &Known::default()).jobs.into_values().next().unwrap().spec;
        let usual = canonical(&spec);
        let grant = Grant { kinds: BTreeSet::from([TaskKind::Class]), usual };
        assert_eq!(checked(&grant, r#"{"class":"a.B()"}"#), "ok");
        assert_eq!(checked(&grant, r#"{"class":"a.B()","env":{}}"#), "it may not say `env`");
        let mut without = grant.usual.clone();
        without.remove("command");
        without.remove("limits");
        without.insert("class".to_owned(), "a.B()".into());
        assert_eq!(grant.check_canonical(&without), Err(Ungranted::Key("limits".to_owned())));
    }
}
