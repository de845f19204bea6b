//! The vectors of this folder, each a test under its id: fire times that independent references agree on.
//!
//! `cargo test --test vectors` runs them all and says how many there were; `… -- c0026` runs one. Those
//! marked `disputed` have no clear authority and decide nothing: they are left out unless `-- --ignored`
//! asks for them. The tests by group:
//!
//! - `cron/ID`, `invalid/ID`, `interval/ID`, `date/ID` …: through the library ([`library`]);
//! - `standard/ID`: a Quartz vector with its weekdays renumbered, read as `standard` ([`renumbered`]);
//! - `next/ID`: through the program, `cronwright next --cron` ([`program`]); a sample of every theme.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on ends; tests read files and start processes"
)]

mod library;
mod program;
mod renumbered;

use std::collections::BTreeMap;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

/// The files, and how many vectors each has.
const FILES: [(&str, usize); 9] = [
    ("cron-apscheduler", 210),
    ("cron-invalid", 172),
    ("cron-quartz", 260),
    ("cron-unix", 594),
    ("cron-unix-seconds", 196),
    ("date", 37),
    ("date-invalid", 25),
    ("interval", 50),
    ("interval-invalid", 16),
];

/// So many vectors of each theme go through the program.
const SAMPLE_OF_A_THEME: usize = 4;

/// One line of a file.
#[derive(Debug, Clone)]
struct Vector(Value);

impl Vector {
    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_else(|| panic!("{key} in {}", self.0))
    }

    /// The text of a key that need not be there.
    fn maybe(&self, key: &str) -> Option<&str> {
        self.0[key].as_str()
    }

    /// The fires that are listed, as they are written.
    fn fires(&self) -> Vec<&str> {
        self.0["next"].as_array().unwrap().iter().map(|at| at.as_str().unwrap()).collect()
    }

    /// Whether there is no fire after those listed.
    fn is_ended(&self) -> bool {
        self.0["ended"] == true || self.0["end_of_schedule"] == true
    }

    /// A test of this vector.
    fn trial(
        &self,
        group: &str,
        check: impl FnOnce(&Self) -> Result<(), String> + Send + 'static,
    ) -> Trial {
        let vector = self.clone();
        let is_disputed = vector.0["disputed"] == true;
        let name = format!("{group}/{}", vector.text("id"));
        let run = move || {
            check(&vector).map_err(|wrong| {
                let (theme, expr) =
                    (vector.maybe("theme").unwrap_or_default(), vector.text("expr"));
                Failed::from(format!("{theme}: {expr}\n  {wrong}"))
            })
        };
        Trial::test(name, run).with_ignored_flag(is_disputed)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (name, count) in FILES {
        let vectors = read(name);
        assert_eq!(vectors.len(), count, "vectors in {name}");
        trials.extend(vectors.iter().map(|vector| library_trial(name, vector)));
        if name == "cron-quartz" {
            trials.extend(vectors.iter().map(|vector| vector.trial("standard", renumbered::check)));
        }
        if name.starts_with("cron") {
            let sample = sample(&vectors).filter(|vector| !program::accepts(vector));
            trials.extend(sample.map(|vector| vector.trial("next", program::check)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn read(name: &str) -> Vec<Vector> {
    let path = format!("{}/tests/vectors/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    text.lines().map(|line| Vector(serde_json::from_str(line).unwrap())).collect()
}

fn library_trial(file: &str, vector: &Vector) -> Trial {
    match file {
        "cron-invalid" => vector.trial("invalid", library::check_invalid_cron),
        "date" => vector.trial("date", library::check_date),
        "date-invalid" => vector.trial("date", library::check_invalid_date),
        "interval" => vector.trial("interval", library::check_interval),
        "interval-invalid" => vector.trial("interval", library::check_invalid_interval),
        _ => vector.trial("cron", library::check_cron),
    }
}

/// The first few vectors of each theme and dialect of a file.
fn sample(vectors: &[Vector]) -> impl Iterator<Item = &Vector> {
    let mut taken: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    vectors.iter().filter(move |vector| {
        let count = taken.entry((vector.text("dialect"), vector.text("theme"))).or_default();
        *count += 1;
        *count <= SAMPLE_OF_A_THEME
    })
}
