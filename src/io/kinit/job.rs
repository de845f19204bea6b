//! A task of kinit as a job: its strategy as a trigger, its class as a call.
//!
//! What comes from kinit can name a class and nothing else: there is no way from here to a command, a
//! script or an HTTP call.

use serde_json::{Map, Value, json};

use crate::io::kinit::message::{Refused, text_of};
use crate::spec::job::JobName;
use crate::spec::task::call::Call;
use crate::time::quoted;

/// Seconds of each field of an interval: seconds, minutes, hours, days, weeks.
const UNITS: [u64; 5] = [1, 60, 3600, 86_400, 604_800];

/// The field of an active task that says when it is due next.
pub(super) const NEXT: &str = "next_run_time";

/// A task that is to be scheduled, or run once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// kinit's id, which is the name of the job.
    pub id: JobName,
    /// The call of its class, in our notation.
    pub class: String,
    /// When it is due.
    pub when: When,
    /// Not before, in the zone of the settings.
    pub start_date: Option<String>,
    /// Not after.
    pub end_date: Option<String>,
    /// What kinit says, for the document of an active task.
    pub wording: Wording,
}

/// A task in kinit's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// The call of its class.
    pub job_class: String,
    /// Its strategy.
    pub exec_strategy: String,
    /// Its expression.
    pub expression: Option<String>,
}

/// kinit's strategies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// Every so many seconds.
    Interval {
        /// More than zero.
        seconds: u64,
    },
    /// An expression of 6 or 7 fields in the dialect of `APScheduler`.
    Cron(String),
    /// Once, at a local time.
    Date(String),
    /// Now, and never again: an execution, no schedule.
    Once,
}

impl Task {
    /// Reads a task from the fields of a message, or of a stored definition: they have the same names.
    ///
    /// # Errors
    ///
    /// When a field is missing or says nothing that can be done.
    pub fn read(
        id: &str,
        strategy: Option<&str>,
        fields: &Map<String, Value>,
    ) -> Result<Self, Refused> {
        let refused = |reason: String| Refused { id: Some(id.to_owned()), reason };
        let text = |key| text_of(fields, key).map_err(|refusal| refused(refusal.reason));
        let name = JobName::parse(id).map_err(|error| refused(error.to_string()))?;
        let strategy = strategy.ok_or_else(|| refused("`exec_strategy` is missing".to_owned()))?;
        let class =
            text("job_class")?.ok_or_else(|| refused("`job_class` is missing".to_owned()))?;
        let expression = text("expression")?;
        let when = when(strategy, expression).map_err(refused)?;
        let (start_date, end_date) = match when {
            When::Interval { .. } | When::Cron(_) => (text("start_date")?, text("end_date")?),
            // kinit keeps them for these as well, and they mean nothing there.
            When::Date(_) | When::Once => (None, None),
        };
        Ok(Self {
            id: name,
            class: in_our_words(class),
            when,
            start_date: start_date.map(str::to_owned),
            end_date: end_date.map(str::to_owned),
            wording: Wording {
                job_class: class.to_owned(),
                exec_strategy: strategy.to_owned(),
                expression: expression.map(str::to_owned),
            },
        })
    }

    /// The document by which kinit sees that it is active. `next` is when it is due, where its clocks show it.
    pub fn document(&self, next: Option<&str>) -> Map<String, Value> {
        let said = &self.wording;
        let fields = [
            ("_id", Some(self.id.as_str())),
            ("job_class", Some(said.job_class.as_str())),
            ("exec_strategy", Some(said.exec_strategy.as_str())),
            ("expression", said.expression.as_deref()),
            ("start_date", self.start_date.as_deref()),
            ("end_date", self.end_date.as_deref()),
            (NEXT, next),
        ];
        fields.into_iter().map(|(key, text)| (key.to_owned(), text.into())).collect()
    }

    /// The manifest that declares it, in JSON. `zone` is where kinit's local times are meant.
    pub fn manifest(&self, zone: &str) -> String {
        let mut trigger = match &self.when {
            When::Interval { seconds } => json!({ "interval": format!("{seconds}s") }),
            When::Cron(expression) => json!({ "cron": expression, "dialect": "apscheduler" }),
            When::Date(at) => json!({ "date": at }),
            When::Once => Value::Null,
        };
        for (key, bound) in [("start_date", &self.start_date), ("end_date", &self.end_date)] {
            if let (Some(trigger), Some(bound)) = (trigger.as_object_mut(), bound) {
                trigger.insert(key.to_owned(), bound.as_str().into());
            }
        }
        let triggers: Vec<Value> = Some(trigger).filter(|one| !one.is_null()).into_iter().collect();
        let job = json!({ "class": self.class, "timezone": zone, "triggers": triggers });
        let jobs = Map::from_iter([(self.id.as_str().to_owned(), job)]);
        json!({ "jobs": jobs }).to_string()
    }
}

fn when(strategy: &str, expression: Option<&str>) -> Result<When, String> {
    let needed = || expression.ok_or_else(|| format!("`{strategy}` needs an `expression`"));
    match strategy {
        "interval" => interval(needed()?),
        "cron" => cron(needed()?),
        "date" => needed().map(|at| When::Date(at.to_owned())),
        "once" => Ok(When::Once),
        other => {
            let other = quoted(other);
            Err(format!("`{other}` is no strategy: interval, cron, date or once"))
        }
    }
}

/// Five fields that add up; `*` is nothing.
fn interval(expression: &str) -> Result<When, String> {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if fields.len() != UNITS.len() {
        return Err(format!(
            "an interval has five fields, seconds minutes hours days weeks, and this has {}",
            fields.len()
        ));
    }
    let mut seconds = 0_u64;
    for (field, unit) in fields.iter().zip(UNITS) {
        let part = match *field {
            "*" => 0,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse::<u64>()
                .ok()
                .and_then(|count| count.checked_mul(unit))
                .ok_or_else(|| format!("the interval `{}` is too long", quoted(expression)))?,
            other => return Err(format!("`{}` is no number of an interval", quoted(other))),
        };
        seconds = seconds
            .checked_add(part)
            .ok_or_else(|| format!("the interval `{}` is too long", quoted(expression)))?;
    }
    if seconds == 0 {
        return Err("the interval adds up to nothing".to_owned());
    }
    Ok(When::Interval { seconds })
}

/// What the fields mean is for the trigger to say; five fields would be crontab's, and mean other times.
fn cron(expression: &str) -> Result<When, String> {
    match expression.split_whitespace().count() {
        6 | 7 => Ok(When::Cron(expression.to_owned())),
        count => Err(format!("a cron expression has 6 or 7 fields here, and this has {count}")),
    }
}

/// kinit takes `true` and `false` for the words that Python has; inside of texts they stay what they are.
fn in_our_words(class: &str) -> String {
    let Some((path, arguments)) = class.split_once('(') else {
        // A class without arguments may stand there without its parentheses.
        return if Call::is_path(class) { format!("{class}()") } else { class.to_owned() };
    };
    let mut out = format!("{path}(");
    let mut word = String::new();
    let mut quote = None;
    let mut escaped = false;
    for letter in arguments.chars() {
        if quote.is_none() && (letter.is_alphanumeric() || letter == '_') {
            word.push(letter);
            continue;
        }
        out.push_str(python_word(&word));
        word.clear();
        out.push(letter);
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if letter == '\\' => escaped = true,
            Some(open) if letter == open => quote = None,
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            Some(_) | None => {}
        }
    }
    out.push_str(python_word(&word));
    out
}

fn python_word(word: &str) -> &str {
    match word {
        "true" => "True",
        "false" => "False",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::spec::manifest::{Content, Known, Loaded, ManifestFile, load};
    use crate::spec::task::classes::{FoundClasses, PythonClasses};

    const ID: &str = "64a3c1f0e4b0a1b2c3d4e5f6";
    const ZONE: &str = "Asia/Shanghai";

    fn task(strategy: &str, expression: &str) -> Task {
        let fields = json!({ "job_class": "test.main.Test", "expression": expression,
            "start_date": "2026-01-01 00:00:00", "end_date": "2027-01-01 00:00:00" });
        Task::read(ID, Some(strategy), fields.as_object().unwrap()).unwrap()
    }

    fn loaded(task: &Task) -> Loaded {
        let bytes: Arc<[u8]> = task.manifest(ZONE).as_bytes().into();
        let file = ManifestFile {
            path: format!("kinit/{ID}.json").into(),
            source: "kinit".into(),
            content: Content::Bytes(bytes),
        };
        let classes = BTreeMap::from_iter([("test.main.Test".to_owned(), None)]);
        let found = FoundClasses { classes, ..FoundClasses::default() };
        let mut known = Known::default();
        known.classes.python = PythonClasses::Found(Arc::new(found));
        load(&[file], &known)
    }

    #[test]
    fn every_strategy_is_a_valid_job() {
        for (strategy, expression) in [
            ("interval", "10 * * * *"),
            ("cron", "0 15 10 ? * 1"),
            ("cron", "0 15 10 * * ? 2026"),
            ("date", "2030-06-23 10:00:00"),
            ("once", ""),
        ] {
            let loaded = loaded(&task(strategy, expression));
            assert!(!loaded.has_errors(), "{strategy}: {:?}", loaded.diagnostics);
            assert!(loaded.jobs.contains_key(&JobName::parse(ID).unwrap()), "{strategy}");
        }
    }

    #[test]
    fn weekday_1_is_tuesday_as_in_apscheduler() {
        let loaded = loaded(&task("cron", "0 15 10 ? * 1"));
        let job = loaded.jobs.values().next().unwrap();
        let after = "2026-03-01T00:00:00Z".parse().unwrap();
        let next = job.spec.triggers[0].next_after(after, None);
        assert_eq!(next, Some("2026-03-03T02:15:00Z".parse().unwrap()));
    }

    #[test]
    fn an_expression_that_apscheduler_refuses_is_refused_at_its_place() {
        for expression in ["0 15 10 L * ?", "0 15 10 ? * 7", "0 15 10 ? * 6#3"] {
            assert!(loaded(&task("cron", expression)).has_errors(), "{expression}");
        }
    }

    #[test]
    fn the_fields_of_an_interval_add_up() {
        let seconds = |expression| match task("interval", expression).when {
            When::Interval { seconds } => seconds,
            other @ (When::Cron(_) | When::Date(_) | When::Once) => panic!("{other:?}"),
        };
        assert_eq!(seconds("1 2 3 4 1"), 1 + 120 + 3 * 3600 + 4 * 86_400 + 604_800);
        assert_eq!(seconds("90 * * * *"), 90);
        assert!(interval("99999999999999999999 * * * *").is_err());
        assert!(interval("* * * * 18446744073709551615").is_err());
    }

    #[test]
    fn lower_case_booleans_are_pythons_outside_of_texts() {
        let ours = r#"test.main.Test("a true (false)", True, -1, flag=False)"#;
        let theirs = r#"test.main.Test("a true (false)", true, -1, flag=false)"#;
        assert_eq!(in_our_words(theirs), ours);
        Call::parse(ours).unwrap();
        assert_eq!(in_our_words("true.false.Test"), "true.false.Test()");
        assert_eq!(in_our_words(r#"t.T("\" true", truest)"#), r#"t.T("\" true", truest)"#);
    }

    #[test]
    fn nothing_of_a_task_becomes_anything_but_a_class() {
        let fields = json!({ "job_class": "os.system\", \"command\": [\"id\"], \"x\": \"",
            "command": ["id"], "script": "id", "http": { "url": "http://127.0.0.1" } });
        let task = Task::read(ID, Some("once"), fields.as_object().unwrap()).unwrap();
        let manifest: Value = serde_json::from_str(&task.manifest(ZONE)).unwrap();
        let job = manifest["jobs"][ID].as_object().unwrap();
        assert_eq!(job.keys().collect::<Vec<_>>(), ["class", "timezone", "triggers"]);
        assert!(loaded(&task).has_errors());
    }

    #[test]
    fn an_id_that_is_no_name_is_refused() {
        let fields = json!({ "job_class": "test.main.Test" });
        let refused = Task::read("../x", Some("once"), fields.as_object().unwrap()).unwrap_err();
        assert!(refused.reason.contains("not a job name"), "{}", refused.reason);
    }
}
