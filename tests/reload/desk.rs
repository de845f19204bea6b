//! The desk: what somebody has written, as they mean it, and the texts that say so in many ways.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::world::World;

/// A trigger as it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trig {
    /// An expression, in a zone.
    Cron(&'static str, &'static str),
    /// Every so many seconds from when it was first applied.
    Every(u32),
    /// Every so many seconds from a fixed moment, 2026-01-01T00:00:07Z.
    Anchored(u32),
    /// Once, at this second of Unix time.
    Once(i64),
}

/// The anchor of [`Trig::Anchored`].
pub(super) const ANCHOR: (&str, i64) = ("2026-01-01T00:00:07Z", 1_767_225_607);

/// A job as it is meant. Equal drafts are equal jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) triggers: Vec<Trig>,
    pub(super) enabled: bool,
    pub(super) allow: bool,
    /// Numbers that stand in the command, in `env` and in the description.
    pub(super) command: u64,
    pub(super) env: u64,
    pub(super) description: u64,
    /// The name that it had before, as it says itself.
    pub(super) former: Option<String>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Brackets that nothing closes.
    Syntax,
    /// A value that no duration is, in its last job.
    BadValue,
    /// A key that there is not, in its last job.
    UnknownKey,
    /// The first half, then NULs: torn by a crash.
    Torn,
    /// NULs alone.
    Nul,
    /// No byte at all.
    Empty,
    /// It may not be read.
    Unreadable,
}

impl Fault {
    /// Whether the file still tells which names it holds.
    fn tells_names(self) -> bool {
        match self {
            Self::Syntax | Self::BadValue | Self::UnknownKey => true,
            Self::Torn | Self::Nul | Self::Empty | Self::Unreadable => false,
        }
    }

    pub(super) const ALL: [Self; 7] = [
        Self::Syntax,
        Self::BadValue,
        Self::UnknownKey,
        Self::Torn,
        Self::Nul,
        Self::Empty,
        Self::Unreadable,
    ];
}

/// A file as it is meant, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paper {
    pub(super) jobs: Vec<Draft>,
    /// Its bits choose among ways of writing the same.
    pub(super) style: u64,
    pub(super) fault: Option<Fault>,
}

/// What a file says, to who knows what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Says {
    /// These jobs.
    Jobs(Vec<Draft>),
    /// It is invalid.
    Invalid {
        /// These names are seen to be declared.
        declares: BTreeSet<String>,
        /// These stand somewhere in its text.
        mentions: BTreeSet<String>,
        /// The text does not tell all names.
        hides: bool,
    },
}

/// Everything that is written, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Desk {
    pub(super) papers: BTreeMap<String, Paper>,
    /// Sources that cannot be read.
    pub(super) unreadable: BTreeSet<&'static str>,
}

/// The source that a path lies in.
pub(super) fn source_of(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

impl Desk {
    /// What a look sees, by path.
    pub(super) fn seen(&self) -> BTreeMap<String, Says> {
        let readable =
            self.papers.iter().filter(|(path, _)| !self.unreadable.contains(source_of(path)));
        readable.map(|(path, paper)| (path.clone(), paper.says(path))).collect()
    }

    /// Writes everything to the world.
    pub(super) fn publish(&self, world: &mut World) {
        world.unreadable.clone_from(&self.unreadable);
        let text = |(path, paper): (&String, &Paper)| (path.clone(), paper.bytes(path));
        world.files = self.papers.iter().map(text).collect();
    }

    /// Whether it is clear who declares which names: no file has the same name twice, a file whose syntax
    /// is broken has none that stands elsewhere too, and a former name is nobody's any more.
    pub(super) fn is_clear(&self) -> bool {
        let mut everywhere: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
        let mut formers = BTreeSet::new();
        for paper in self.papers.values() {
            let names: BTreeSet<&str> = paper.jobs.iter().map(|job| job.name.as_str()).collect();
            let twice = names.len() != paper.jobs.len();
            if twice
                || !paper
                    .jobs
                    .iter()
                    .filter_map(|it| it.former.as_ref())
                    .all(|it| formers.insert(it))
            {
                return false;
            }
            let is_broken = paper.fault == Some(Fault::Syntax);
            let counts = paper.fault.is_none_or(Fault::tells_names);
            for name in names {
                let (count, broken) = everywhere.entry(name).or_default();
                *count += usize::from(counts);
                *broken |= is_broken;
            }
        }
        let no_former = |name: &str| !formers.iter().any(|former| former.as_str() == name);
        everywhere.iter().all(|(name, (count, broken))| no_former(name) && (*count < 2 || !broken))
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        let jobs = self.papers.values().flat_map(|paper| &paper.jobs);
        jobs.map(|job| job.name.clone()).collect()
    }
}

impl Paper {
    fn says(&self, path: &str) -> Says {
        let declares = match self.fault {
            None => return Says::Jobs(self.jobs.clone()),
            // Without a job there is nothing for the fault to stand in.
            Some(Fault::BadValue | Fault::UnknownKey) if self.jobs.is_empty() => {
                return Says::Jobs(Vec::new());
            }
            Some(Fault::BadValue | Fault::UnknownKey) => {
                self.jobs.iter().map(|job| job.name.clone()).collect()
            }
            Some(_) => BTreeSet::new(),
        };
        let bytes = self.bytes(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let is_word = |sign: char| sign.is_ascii_alphanumeric() || "_-".contains(sign);
        let words = text.split(|sign| !is_word(sign));
        let mentions = words.filter(|it| it.starts_with("job-")).map(str::to_owned).collect();
        let hides = self.fault.is_some_and(|fault| !fault.tells_names());
        Says::Invalid { declares, mentions, hides }
    }

    /// The file; none: it may not be read.
    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let mut text = self.text(path);
        match self.fault {
            None | Some(Fault::BadValue | Fault::UnknownKey) => {}
            Some(Fault::Syntax) => text += "\n]]]{[\n",
            Some(Fault::Torn) => {
                let mut bytes = text.into_bytes();
                let half = bytes.len() / 2;
                bytes[half..].fill(0);
                return Some(bytes);
            }
            Some(Fault::Nul) => return Some(vec![0; text.len()]),
            Some(Fault::Empty) => return Some(Vec::new()),
            Some(Fault::Unreadable) => return None,
        }
        Some(text.into_bytes())
    }

    fn text(&self, path: &str) -> String {
        let last = self.jobs.len().wrapping_sub(1);
        let mut jobs: Vec<(String, Vec<(String, Value)>)> = Vec::new();
        for (index, job) in self.jobs.iter().enumerate() {
            let mut fields = self.fields(job);
            match self.fault.filter(|_| index == last) {
                Some(Fault::BadValue) => fields.push(("timeout".to_owned(), json!("soon"))),
                Some(Fault::UnknownKey) => fields.push(("comand".to_owned(), json!("x"))),
                _ => {}
            }
            jobs.push((job.name.clone(), fields));
        }
        match path.rsplit_once('.') {
            Some((_, "toml")) => toml(&jobs, self.has(4)),
            // JSON is YAML too.
            Some((_, "yaml")) if !self.has(8) => yaml(&jobs, self.has(4)),
            _ => json_text(&jobs, self.has(4)),
        }
    }

    fn has(&self, bit: u64) -> bool {
        self.style & bit != 0
    }

    /// The fields of a job. The order, and the form of a single trigger, are a matter of style.
    fn fields(&self, job: &Draft) -> Vec<(String, Value)> {
        let mut fields =
            vec![("command".to_owned(), json!(["/bin/echo", job.command.to_string()]))];
        let mut put = |key: &str, value: Value| fields.push((key.to_owned(), value));
        match &job.triggers[..] {
            [one @ (Trig::Cron(..) | Trig::Every(_) | Trig::Once(_))] if self.has(1) => {
                for (key, value) in trigger(*one) {
                    put(&key, value);
                }
            }
            several => {
                put("triggers", several.iter().map(|it| Value::Object(trigger(*it))).collect());
            }
        }
        if job.env > 0 {
            put("env", json!({ "LEVEL": job.env.to_string() }));
        }
        if job.description > 0 {
            put("description", json!(format!("text {}", job.description)));
        }
        if !job.enabled || self.has(16) {
            put("enabled", json!(job.enabled));
        }
        if job.allow {
            put("overlap", json!("allow"));
        }
        if let Some(former) = &job.former {
            put("previous_names", json!([former]));
        }
        if self.has(2) {
            fields.reverse();
        }
        fields
    }
}

fn trigger(trigger: Trig) -> Map<String, Value> {
    let value = match trigger {
        Trig::Cron(expression, "UTC") => json!({ "cron": expression }),
        Trig::Cron(expression, zone) => json!({ "cron": expression, "timezone": zone }),
        Trig::Every(seconds) => json!({ "interval": format!("{seconds}s") }),
        Trig::Anchored(seconds) => json!({ "interval": format!("{seconds}s"), "anchor": ANCHOR.0 }),
        Trig::Once(at) => json!({ "date": super::world::second(at).to_rfc3339() }),
    };
    let Value::Object(map) = value else { unreachable!("it is one") };
    map
}

fn yaml(jobs: &[(String, Vec<(String, Value)>)], comments: bool) -> String {
    if jobs.is_empty() {
        return "jobs: {}\n".to_owned();
    }
    let mut text = if comments { "# reviewed\n\njobs:\n" } else { "jobs:\n" }.to_owned();
    for (name, fields) in jobs {
        text += &format!("  {name}:{}\n", if comments { " # see above" } else { "" });
        for (key, value) in fields {
            text += &format!("    {key}: {value}\n");
        }
    }
    text
}

fn json_text(jobs: &[(String, Vec<(String, Value)>)], spaced: bool) -> String {
    let gap = if spaced { "\n  " } else { "" };
    let fields = |fields: &[(String, Value)]| -> String {
        let each = fields.iter().map(|(key, value)| format!("{gap}\"{key}\": {value}"));
        each.collect::<Vec<_>>().join(",")
    };
    let jobs = jobs.iter().map(|(name, of_job)| format!("{gap}\"{name}\": {{{}}}", fields(of_job)));
    format!("{{\"jobs\": {{{}}}}}", jobs.collect::<Vec<_>>().join(","))
}

fn toml(jobs: &[(String, Vec<(String, Value)>)], comments: bool) -> String {
    if jobs.is_empty() {
        return "[jobs]\n".to_owned();
    }
    let mut text = if comments { "# reviewed\n\n" } else { "" }.to_owned();
    for (name, fields) in jobs {
        text += &format!("[jobs.{name}]\n");
        for (key, value) in fields {
            text += &format!("{key} = {}\n", toml_value(value));
        }
    }
    text
}

fn toml_value(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml_value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let each = map.iter().map(|(key, value)| format!("{key} = {}", toml_value(value)));
            format!("{{ {} }}", each.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
