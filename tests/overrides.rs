//! Overrides in the scheduler alone: virtual time, a ledger in memory, every answer at once.

use chrono::TimeDelta;
use cronwright::engine::event::{Effect, Event, Recovery, Resume, Start};
use cronwright::engine::execution::{AttemptId, Cause, Ending, Outcome, Output, Row, Skipped};
use cronwright::engine::overrides::{Override, Pause, SkipNext, next_to_run};
use cronwright::engine::plan::{AppliedJob, AppliedSet, Change, Owner, Sources, diff};
use cronwright::engine::request::{Act, Order, OverrideChange, ReplyStatus, RequestId, Selection};
use cronwright::engine::scheduler::{Scheduler, preview};
use cronwright::io::store::memory::Ledger;
use cronwright::io::store::{Guard, PlanAnswer, RowChange};
use cronwright::spec::job::{DeclaredJob, JobName, JobSet};
use cronwright::spec::manifest::{Content, Known, ManifestFile, load};
use cronwright::time::{BootTime, Now, Timestamp};

/// A scheduler that leads, and the ledger that it writes to.
struct Bench {
    scheduler: Scheduler,
    ledger: Ledger,
    now: Timestamp,
    declared: JobSet,
    starts: Vec<Start>,
    replies: Vec<ReplyStatus>,
    /// The answer to the next plan is lost, though it is written.
    loses_answer: bool,
}

fn time(text: &str) -> Timestamp {
    format!("2026-01-05T{text}Z").parse().unwrap()
}

fn declared(jobs: &str) -> JobSet {
    let content = Content::Bytes(format!("jobs:\n{jobs}").into_bytes().into());
    let file = ManifestFile { path: "s/a.yaml".into(), source: "s".into(), content };
    load(&[file], &Known::default()).jobs
}

/// A job `a` with these keys.
fn job(keys: &str) -> String {
    format!("  a: {{ command: x, {keys} }}\n")
}

impl Bench {
    /// At 10:00:00.500, with these jobs.
    fn new(jobs: &str) -> Self {
        let mut bench = Self {
            scheduler: Scheduler::new("n1", "p1"),
            ledger: Ledger::default(),
            now: time("10:00:00.500"),
            declared: JobSet::new(),
            starts: Vec::new(),
            replies: Vec::new(),
            loses_answer: false,
        };
        bench.hear(Event::LeaseHeld { epoch: 1, until: BootTime::NEVER });
        bench.declare(jobs);
        bench
    }

    fn clock(&self) -> Now {
        let since = self.now - time("00:00:00");
        Now { wall: self.now, boot: BootTime(since.to_std().unwrap()) }
    }

    fn hear(&mut self, event: Event) {
        let effects = self.scheduler.handle(self.clock(), event);
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Claim(batch) => {
                let answers = self.ledger.claim(&batch);
                self.hear(Event::Claimed { batch: batch.number, answers });
            }
            Effect::SavePlan(plan) => {
                let answer = self.ledger.save_plan(&plan);
                if std::mem::take(&mut self.loses_answer) {
                    return self.hear(Event::StoreLost);
                }
                let PlanAnswer::Saved { generation } = answer else { panic!("stale") };
                self.hear(Event::PlanSaved { generation });
            }
            Effect::Recover { number } => {
                let recovery = self.recovery(number);
                self.hear(Event::Recovered(Box::new(recovery)));
            }
            Effect::Start(start) => {
                let (id, finished_at) = (AttemptId::first(start.row.id.clone()), self.now);
                self.starts.push(*start);
                let ending = Box::new(Ending {
                    outcome: Outcome::Succeeded,
                    started_at: None,
                    finished_at,
                    duration: None,
                    exit: None,
                    result: None,
                    exception: None,
                    output: Output::default(),
                    protection: None,
                });
                self.hear(Event::Ended { id, ending });
            }
            Effect::RecordEnded { id, ending, .. } => {
                let guard = Guard::Node("n1".into());
                self.ledger.record(&[RowChange::Ended { id: id.clone(), guard, ending }]);
                self.hear(Event::Recorded { id });
            }
            Effect::Reply { status, .. } => self.replies.push(status),
            Effect::RecordStarted { .. }
            | Effect::Stop { .. }
            | Effect::Forget { .. }
            | Effect::RecordWait(_)
            | Effect::ReadFlights
            | Effect::PlanDone(_)
            | Effect::Note(_) => {}
        }
    }

    fn recovery(&self, number: u64) -> Recovery {
        let contents = self.ledger.load();
        let spec = |name: &str| self.declared[&JobName::parse(name).unwrap()].spec.clone();
        let jobs: AppliedSet = contents
            .jobs
            .into_iter()
            .map(|document| {
                let spec = spec(&document.name);
                (spec.name.clone(), document.applied(spec))
            })
            .collect();
        Recovery {
            number,
            generation: contents.generation,
            revision: contents.revision.as_str().into(),
            pin: None,
            jobs,
            removed: cronwright::engine::removed::Removed::default(),
            overrides: contents.overrides.into_iter().map(|said| said.said().unwrap()).collect(),
            watermark: contents.watermark,
            covered: contents.covered,
            in_flight: contents.in_flight,
            supervised: Vec::new(),
            resume: Resume::AtOnce,
        }
    }

    fn declare(&mut self, jobs: &str) {
        self.declared = declared(jobs);
        let sources = Sources { names: vec!["s".to_owned()], ..Sources::default() };
        let (scheduler, revision) = (&self.scheduler, "r".into());
        let applied = scheduler.applied();
        let plan = diff(scheduler.generation(), revision, &self.declared, &applied, &sources);
        self.hear(Event::Plan(Box::new(plan)));
    }

    /// Lets time pass as a daemon does: it wakes when something is due, and every second.
    fn until(&mut self, end: &str) {
        let end = time(end);
        while self.now < end {
            let capped = self.now + TimeDelta::seconds(1);
            let due = self.scheduler.next_wakeup().map_or(capped, |due| due.max(self.now));
            self.now = due.min(capped).min(end);
            self.hear(Event::Tick);
        }
    }

    fn ask(&mut self, id: &str, act: Act) -> ReplyStatus {
        let (id, actor) = (RequestId::parse(id).unwrap(), Some("li.wei".to_owned()));
        self.hear(Event::Order(Order { id, act, actor }));
        self.replies.pop().unwrap()
    }

    fn pause(&mut self, id: &str, until: Option<Timestamp>) -> ReplyStatus {
        let reason = Some("vendor down".to_owned());
        self.ask(
            id,
            Act::Override { jobs: Selection::All, change: OverrideChange::Pause { reason, until } },
        )
    }

    fn skip_next(&mut self, id: &str) -> ReplyStatus {
        self.ask(
            id,
            Act::Override {
                jobs: Selection::All,
                change: OverrideChange::SkipNext { reason: None },
            },
        )
    }

    fn resume(&mut self, id: &str) -> ReplyStatus {
        self.ask(id, Act::Override { jobs: Selection::All, change: OverrideChange::Resume })
    }

    /// `10:00:01 succeeded`, `10:00:02-10:00:04 skipped(paused) 3`: rows, oldest first.
    fn rows(&self) -> Vec<String> {
        let mut rows: Vec<&Row> = self.ledger.all_rows().values().collect();
        rows.sort_by_key(|row| row.fire_time);
        rows.into_iter().map(told).collect()
    }
}

fn told(row: &Row) -> String {
    let at = |at: Timestamp| at.format("%H:%M:%S").to_string();
    let range = row.range.map(|range| format!("-{}", at(range.last))).unwrap_or_default();
    let count = row.range.map(|range| format!(" {}", range.count)).unwrap_or_default();
    let outcome = row.outcome().unwrap();
    let reason = outcome.reason().map(|reason| format!("({reason})")).unwrap_or_default();
    format!("{}{range} {}{reason}{count}", at(row.fire_time), outcome.as_str())
}

const ACCEPTED: ReplyStatus = ReplyStatus::Accepted { note: None };

#[test]
fn b2_a_pause_of_hours_is_a_row_an_hour_and_resuming_catches_nothing_up() {
    let mut bench = Bench::new(&job("cron: '* * * * * *'"));
    bench.until("10:00:02.500");
    assert_eq!(bench.pause("1", None), ACCEPTED);
    bench.until("12:30:00.500");
    assert_eq!(bench.resume("2"), ACCEPTED);
    bench.until("12:30:01.500");
    let expected = [
        "10:00:01 succeeded",
        "10:00:02 succeeded",
        "10:00:03-11:00:03 skipped(paused) 3601",
        "11:00:04-12:00:04 skipped(paused) 3601",
        "12:00:05-12:30:00 skipped(paused) 1796",
        "12:30:01 succeeded",
    ];
    assert_eq!(bench.rows(), expected);
    let paused = bench.ledger.all_rows().values().find(|row| row.range.is_some()).unwrap();
    assert_eq!(paused.note.as_deref(), Some("li.wei: vendor down"));
    assert!(bench.starts.iter().all(|start| start.row.cause == Cause::Trigger));
}

#[test]
fn b2_a_pause_ends_by_itself_and_its_end_fires() {
    let mut bench = Bench::new(&job("cron: '* * * * * *'"));
    assert_eq!(bench.pause("1", Some(time("10:00:04"))), ACCEPTED);
    // Said anew, it goes on from where it began.
    bench.until("10:00:02.500");
    assert_eq!(bench.pause("2", Some(time("10:00:05"))), ACCEPTED);
    bench.until("10:00:06.500");
    let expected = [
        "10:00:01-10:00:02 skipped(paused) 2",
        "10:00:03-10:00:04 skipped(paused) 2",
        "10:00:05 succeeded",
        "10:00:06 succeeded",
    ];
    assert_eq!(bench.rows(), expected);
    assert!(bench.scheduler.overrides().values().all(Override::is_empty));
}

#[test]
fn b2_a_skip_takes_one_fire_time_and_an_edit_keeps_one_that_is_not_used() {
    let mut bench = Bench::new(&job("cron: '*/10 * * * * *'"));
    assert_eq!(bench.skip_next("1"), ACCEPTED);
    bench.until("10:00:05.500");
    bench.declare(&job("cron: '7/10 * * * * *'"));
    bench.until("10:00:17.500");
    bench.declare(&job("cron: '9/10 * * * * *'"));
    bench.until("10:00:20.500");
    let expected = ["10:00:07 skipped(skip_next)", "10:00:17 succeeded", "10:00:19 succeeded"];
    assert_eq!(bench.rows(), expected);
}

#[test]
fn d10_an_edit_at_the_moment_of_a_skip_skips_no_second_fire_time() {
    let mut bench = Bench::new(&job("cron: '*/10 * * * * *'"));
    assert_eq!(bench.skip_next("1"), ACCEPTED);
    // The edit itself settles the fire time that is skipped.
    bench.now = time("10:00:10.001");
    bench.declare(&job("cron: '*/10 * * * * *', description: edited"));
    bench.until("10:00:30.500");
    let expected = ["10:00:10 skipped(skip_next)", "10:00:20 succeeded", "10:00:30 succeeded"];
    assert_eq!(bench.rows(), expected);
}

#[test]
fn a10_what_waits_for_its_start_when_a_pause_begins_belongs_to_the_time_before() {
    let mut bench = Bench::new(&job("triggers: [{ cron: '* * * * *', jitter: 40s }]"));
    bench.until("10:01:00.001");
    let waits = bench.starts.is_empty();
    assert!(waits, "this job's jitter at 10:01 is nothing: take another name");
    assert_eq!(bench.pause("1", None), ACCEPTED);
    bench.until("10:05:30");
    assert_eq!(bench.resume("2"), ACCEPTED);
    let rows = bench.rows();
    assert_eq!(rows, ["10:01:00 succeeded", "10:02:00-10:05:00 skipped(paused) 4"]);
    let start = &bench.starts[0].row;
    assert!(start.claimed_at >= start.start_time && start.start_time > start.fire_time);
}

#[test]
fn a_request_has_its_effect_once_also_when_the_answer_of_the_store_was_lost() {
    let mut bench = Bench::new(&job("cron: '* * * * * *'"));
    bench.loses_answer = true;
    assert_eq!(bench.skip_next("1"), ACCEPTED);
    bench.until("10:00:03.500");
    assert_eq!(bench.skip_next("1"), ReplyStatus::Duplicate);
    bench.until("10:00:05.500");
    let skipped = Outcome::Skipped(Skipped::SkipNext);
    let rows = bench.ledger.all_rows().values();
    assert_eq!(rows.filter(|row| row.outcome() == Some(skipped)).count(), 1);
    assert_eq!(
        bench.resume("2"),
        ReplyStatus::Finished { outcome: None, note: Some("`a` is not paused".to_owned()) }
    );
}

#[test]
fn whatever_the_store_is_asked_a_standby_changes_nothing() {
    let mut bench = Bench::new(&job("cron: '* * * * * *'"));
    bench.hear(Event::LeaseLost(cronwright::engine::event::LeaseLoss::Taken));
    let ReplyStatus::Rejected(refusal) = bench.pause("1", None) else { panic!("done") };
    assert_eq!(refusal.code, "E0503");
    assert!(bench.ledger.said().is_empty());
}

#[test]
fn groups_are_those_of_the_moment_and_an_unknown_job_stops_all() {
    let jobs = "  a: { command: x, triggers: [], group: etl }\n  b: { command: x, triggers: [], group: etl }\n  c: { command: x, triggers: [] }\n";
    let mut bench = Bench::new(jobs);
    let name = |name: &str| JobName::parse(name).unwrap();
    let pause =
        |jobs| Act::Override { jobs, change: OverrideChange::Pause { reason: None, until: None } };
    let named = Selection::Named(vec![name("a"), name("x")]);
    let ReplyStatus::Rejected(refusal) = bench.ask("1", pause(named)) else { panic!("done") };
    assert_eq!(refusal.message, "no job `x`");
    let unknown = Selection::Group("elt".to_owned());
    let ReplyStatus::Rejected(refusal) = bench.ask("2", pause(unknown)) else { panic!("done") };
    assert_eq!(refusal.help.as_deref(), Some("did you mean `etl`?"));
    assert!(bench.ledger.said().is_empty());
    assert_eq!(bench.ask("3", pause(Selection::Group("etl".to_owned()))), ACCEPTED);
    let paused: Vec<&str> =
        bench.scheduler.overrides().values().map(|said| said.job.as_str()).collect();
    assert_eq!(paused, ["a", "b"]);
}

#[test]
fn the_next_fire_time_that_runs_is_after_what_holds_it() {
    let to: DeclaredJob = declared(&job("cron: '0 * * * *'")).into_values().next().unwrap();
    let create = Change::Create { to, owner: Owner::source("s") };
    let job: AppliedJob = preview(time("09:30:00"), &create).unwrap();
    let pause = |until: Option<&str>| Pause {
        by: "li".to_owned(),
        at: time("10:30:00"),
        reason: None,
        until: until.map(time),
    };
    let skip = || SkipNext { by: "li".to_owned(), at: time("09:30:00"), reason: None };
    let none = Override::none(job.spec.name.clone());
    for (pause, skip_next, expected) in [
        (None, None, Some("10:00")),
        (None, Some(skip()), Some("11:00")),
        (Some(pause(None)), None, Some("10:00")),
        (Some(pause(None)), Some(skip()), None),
        (Some(pause(Some("12:00:00"))), Some(skip()), Some("12:00")),
        (Some(pause(Some("12:00:01"))), Some(skip()), Some("13:00")),
    ] {
        let said = Override { pause, skip_next, ..none.clone() };
        let next = next_to_run(&job, Some(&said), time("09:30:00"));
        let next = next.map(|next| next.fire_time.format("%H:%M").to_string());
        assert_eq!(next.as_deref(), expected, "{said:?}");
    }
}
