//! kinit's web admin against a real daemon, MongoDB and Redis: the traffic that kinit-api has with its scheduler, and
//! what its pages show then.

mod admin;

use bson::{Bson, doc};
use serde_json::{Value, json};

use self::admin::{Admin, Form, JOBS, is_empty, local, parsed};
use super::harness::{World, wall};
use crate::support::servers::{self, End, Mongod, Redis, RedisOptions};

const TEST: &str = r#"test.main.Test("kinit", 1314, True)"#;
/// Far from now, so that nothing runs by itself.
const YEARLY: &str = "0 0 3 1 1 *";

#[test]
fn kinits_web_admin_creates_lists_runs_edits_disables_and_deletes_a_task() {
    let Some(mut admin) = Admin::new() else { return };
    admin.start();
    let id = admin.create(&Form::new(TEST, "interval", "2 * * * *"));
    admin.until("active task", |admin| admin.is_active(&id));
    let job = admin.job(&id).unwrap();
    let said = ["job_class", "exec_strategy", "expression"].map(|key| job.get_str(key).unwrap());
    assert_eq!(said, [TEST, "interval", "2 * * * *"]);
    assert!(is_empty(&job, "start_date") && !is_empty(&job, "next_run_time"), "{job}");

    let record = admin.until_records(&id, 2)[1].clone();
    assert_eq!(parsed(&record, "retval"), json!("kinit is 1314, True"), "{record}");
    assert_eq!(
        (parsed(&record, "exception"), parsed(&record, "traceback")),
        (Value::Null, Value::Null)
    );
    let said = ["name", "group", "job_class", "exec_strategy", "expression"]
        .map(|key| record.get_str(key).unwrap());
    assert_eq!(said, ["a task", "tests", TEST, "interval", "2 * * * *"]);
    let now = local(wall());
    let times = ["start_time", "end_time"].map(|key| record.get_str(key).unwrap());
    assert!(times[0] <= times[1] && times[1] <= &*now && times[0][..8] == now[..8], "{times:?}");
    assert!((0.0..30.0).contains(&record.get_f64("process_time").unwrap()));
    let created = record.get_datetime("create_datetime").unwrap();
    assert_eq!(created, record.get_datetime("update_datetime").unwrap());
    let listed = admin.listed(&id);
    assert!(listed.get_datetime("last_run_datetime").unwrap() >= created, "{listed}");

    admin.edit(&id, &Form::new("test.main.Test(\"other\", 7)", "cron", YEARLY));
    admin.until("edited task", |admin| {
        admin.job(&id).is_some_and(|job| job.get_str("expression").unwrap() == YEARLY)
    });
    admin.world.until("edited job", |world| {
        let job = world.applied(&id).map(|job| job.spec.to_string()).unwrap_or_default();
        job.contains("other") && job.contains("cron")
    });

    admin.world.until("end of executions", |world| world.rows().iter().all(|row| !row.in_flight()));
    let count = admin.world.rows_of(Some(&id)).len();
    admin.run_once(&id, "test.main.Test(\"other\", 7)");
    let records = admin.until_records(&id, count + 1);
    assert_eq!(records.len(), count + 1);
    assert_eq!(parsed(&records[count], "retval"), json!("other is 7, False"));
    assert!(admin.is_active(&id), "run once changes nothing");

    admin.disable(&id);
    admin.world.until("disabled job", |world| world.applied(&id).is_none());
    assert!(!admin.is_active(&id));
    admin.run_once(&id, "test.main.Test(\"once\", 1)");
    let records = admin.until_records(&id, count + 2);
    assert_eq!(parsed(&records[count + 1], "retval"), json!("once is 1, False"));
    admin.world.until("job taken back", |world| world.applied(&id).is_none());
    assert!(!admin.is_active(&id), "run once makes nothing active");

    admin.delete(&id);
    assert_eq!(admin.records(&id).len(), count + 2, "history stays");
    assert!(admin.world.lives());
}

#[test]
fn a_class_that_fails_leaves_a_record_with_exception_and_traceback_for_kinit() {
    let Some(mut admin) = Admin::new() else { return };
    admin.start();
    let class = "test.main.Failing('kinit', -1)";
    let id = admin.define(&Form::new(class, "cron", YEARLY));
    admin.run_once(&id, class);
    let record = admin.until_records(&id, 1).remove(0);
    assert_eq!(parsed(&record, "retval"), Value::Null);
    assert_eq!(parsed(&record, "exception"), json!("ValueError: no kinit"));
    let traceback = parsed(&record, "traceback");
    assert!(traceback.as_str().unwrap().contains("raise ValueError"), "{traceback}");
    assert_eq!(record.get_str("name").unwrap(), "a task");
}

#[test]
fn additions_that_cannot_be_leave_a_record_for_kinit_and_change_nothing() {
    let Some(mut admin) = Admin::new() else { return };
    admin.start();
    for (form, reason) in [
        (Form::new(TEST, "cron", "0 0 3 * * 9"), "E03"),
        (Form::new(TEST, "cron", "0 3 * * 1"), "6 or 7 fields"),
        (Form::new(TEST, "cron", "0 0 0 30 2 *"), "E0302"),
        (Form::new(TEST, "interval", "* * * * *"), "adds up to nothing"),
        (Form::new(TEST, "date", "2001-01-01 00:00:00"), "has passed"),
        (Form::new("test.main.Nobody()", "interval", "5 * * * *"), "Nobody"),
        (Form::new("test.main.Test(\"a\")", "interval", "5 * * * *"), "age"),
        (Form::new("os.system(\"id\")", "interval", "5 * * * *"), "os.system"),
        (Form::new(TEST, "weekly", "1"), "no strategy"),
    ] {
        let id = admin.create(&form);
        let record = admin.until_records(&id, 1).remove(0);
        let exception = parsed(&record, "exception");
        assert!(exception.as_str().unwrap().contains(reason), "{form:?}: {exception}");
        assert_eq!(record.get_str("job_class").unwrap(), form.class);
        assert!(!admin.is_active(&id) && admin.world.applied(&id).is_none());
    }
}

#[test]
fn garbage_on_kinits_channel_is_counted_and_the_next_message_carried_out() {
    let Some(mut admin) = Admin::new() else { return };
    admin.start();
    let big = vec![b'x'; 1 << 20];
    let deep = "[".repeat(100_000);
    for garbage in [&b""[..], b"\xff\x00", b"{}", b"[1]", deep.as_bytes(), &big] {
        assert_eq!(admin.publish(garbage), 1);
    }
    let id = admin.create(&Form::new(TEST, "cron", YEARLY));
    admin.until("active task", |admin| admin.is_active(&id));
    let log = std::fs::read_to_string(admin.world.path("log")).unwrap();
    assert!(log.contains("\"refusals\":6"), "{log}");
    assert!(admin.world.lives());
}

#[test]
fn a_task_of_kinit_that_was_deleted_or_edited_while_no_daemon_ran_is_gone_or_the_new_one() {
    let Some(mut admin) = Admin::new() else { return };
    admin.start();
    let form = Form::new(TEST, "cron", YEARLY);
    let [kept, deleted] = [(); 2].map(|()| admin.create(&form));
    admin.until("active tasks", |admin| admin.is_active(&kept) && admin.is_active(&deleted));
    admin.world.stop();
    admin.disable(&deleted);
    admin.start();
    admin.world.until("removal", |world| world.applied(&deleted).is_none());
    assert!(admin.world.applied(&kept).is_some() && admin.is_active(&kept));
    // kept is there without its message: what is applied outlives the daemon.
    admin.world.kill();
    admin.start();
    admin.edit(&kept, &Form::new("test.main.Test('b', 2)", "interval", "1 * * * *"));
    admin.until("record of the new one", |admin| {
        admin.records(&kept).iter().any(|record| parsed(record, "retval") == "b is 2, False")
    });
}

#[test]
fn tasks_of_a_kinit_database_are_taken_over_whatever_apscheduler_has_pickled() {
    let Some(mut admin) = Admin::new() else { return };
    let [good, bad, lost] = [YEARLY, "0 0 0 30 2 *", YEARLY]
        .map(|expression| admin.define(&Form::new(TEST, "cron", expression)));
    let pickle = Bson::Binary(bson::Binary {
        subtype: bson::spec::BinarySubtype::Generic,
        bytes: b"\x80\x04cos\nsystem\n(S'touch unpickled'\ntR.".to_vec(),
    });
    for id in [&good, &bad, &lost] {
        let left =
            doc! { "_id": id, "next_run_time": 1_900_000_000.5, "job_state": pickle.clone() };
        admin.on_collection(JOBS, async |jobs| jobs.insert_one(left).await.unwrap());
    }
    let key = doc! { "_id": bson::oid::ObjectId::parse_str(&lost).unwrap() };
    admin.on_collection(admin::TASKS, async |tasks| tasks.delete_one(key).await.unwrap());
    admin.start();
    admin.until("document of ours", |admin| admin.job(&good).unwrap().contains_key("job_class"));
    assert!(!admin.job(&good).unwrap().contains_key("job_state"));
    assert!(admin.world.applied(&good).is_some() && admin.world.applied(&bad).is_none());
    for (id, reason) in [(&bad, "E0302"), (&lost, "no definition")] {
        let record = admin.until_records(id, 1).remove(0);
        assert!(parsed(&record, "exception").as_str().unwrap().contains(reason), "{record}");
    }
    assert!(!admin.world.path("unpickled").exists());
}

#[test]
fn an_execution_that_ends_while_no_daemon_runs_has_one_record_for_kinit() {
    let Some(mut admin) = Admin::new() else { return };
    admin.start();
    let class = "test.main.Waiting('w', 5)";
    let id = admin.define(&Form::new(class, "cron", YEARLY));
    admin.run_once(&id, class);
    admin.world.until("begun execution", |world| world.path("begun").exists());
    admin.world.kill();
    admin.world.write("released", "");
    admin.start();
    let records = admin.until_records(&id, 1);
    assert_eq!(parsed(&records[0], "retval"), json!({ "released": 5 }));
    admin.world.until("job taken back", |world| world.applied(&id).is_none());
    // Everything is gone through again at each start.
    admin.world.stop();
    admin.on_collection(admin::RECORDS, async |records| {
        records.delete_many(doc! {}).await.unwrap();
    });
    admin.start();
    assert_eq!(admin.until_records(&id, 1).len(), 1);
}

#[test]
fn a_task_of_kinit_with_a_date_runs_then_and_is_not_active_afterwards() {
    let Some(mut admin) = Admin::new() else { return };
    admin.start();
    let at = local(wall() + chrono::TimeDelta::seconds(3));
    let id = admin.create(&Form::new(TEST, "date", &at));
    admin.until("active task", |admin| admin.is_active(&id));
    assert_eq!(admin.job(&id).unwrap().get_str("next_run_time").unwrap(), at);
    let record = admin.until_records(&id, 1).remove(0);
    assert!(record.get_str("start_time").unwrap() >= &*at);
    admin.until("task that is over", |admin| !admin.is_active(&id));
    admin.world.until("removed job", |world| world.applied(&id).is_none());
}

#[test]
fn a_redis_that_dies_changes_nothing_that_is_scheduled_and_kinit_is_heard_again() {
    let options = RedisOptions { password: None, append_only: false };
    let (Some(mongod), Some(mut redis)) = (servers::mongod(), Redis::start(&options)) else {
        return;
    };
    let mut admin = Admin::on(mongod, &redis);
    admin.start();
    let often = admin.create(&Form::new(TEST, "interval", "1 * * * *"));
    let gone = admin.create(&Form::new(TEST, "cron", YEARLY));
    admin.until("active tasks", |admin| admin.is_active(&often) && admin.is_active(&gone));
    redis.end(End::Kill);
    let count = admin.records(&often).len();
    admin.until_records(&often, count + 2);
    admin.disable(&gone);
    admin.world.until("removal", |world| world.applied(&gone).is_none());
    let health = |world: &mut World| world.ask(&["status"])["health"].clone();
    admin.world.until("problem in the status", |world| {
        let problems = world.ask(&["status"])["problems"].to_string();
        problems.contains("kinit is not listened to") && health(world) == "degraded"
    });
    redis.start_again();
    admin.until_heard();
    admin.world.until("health", |world| health(world) == "healthy");
    let class = "test.main.Test('again', 1)";
    let id = admin.create(&Form::new(class, "cron", YEARLY));
    admin.run_once(&id, class);
    assert_eq!(parsed(&admin.until_records(&id, 1)[0], "retval"), json!("again is 1, False"));
}

#[test]
fn what_happens_while_the_mongodb_of_kinit_is_away_is_recorded_and_made_up_for() {
    let (Some(mut mongod), Some(redis)) = (Mongod::start(), servers::redis()) else { return };
    let mut admin = Admin::apart(&mongod, redis);
    admin.start();
    let often = admin.create(&Form::new(TEST, "interval", "1 * * * *"));
    admin.until_records(&often, 1);
    mongod.end(End::Kill);
    let late = bson::oid::ObjectId::new().to_hex();
    let ended = |admin: &Admin| {
        let rows = admin.world.rows_of(Some(&often));
        rows.iter().filter(|row| !row.in_flight()).count()
    };
    let count = ended(&admin);
    admin.until("executions without kinit's database", |admin| ended(admin) > count + 3);
    assert_eq!(admin.publish_task(&late, &Form::new(TEST, "cron", YEARLY)), 1);
    admin.world.until("job without its document", |world| world.applied(&late).is_some());
    mongod.start_again();
    admin.until("document", |admin| admin.job(&late).is_some());
    admin.disable(&often);
    admin.world.until("removal", |world| world.applied(&often).is_none());
    admin.until("a record for each row", |admin| admin.records(&often).len() == ended(admin));
    assert!(admin.world.applied(&late).is_some());
}

#[test]
fn one_of_two_daemons_listens_to_kinit_and_the_other_takes_its_place() {
    let Some(mut admin) = Admin::new() else { return };
    admin.start();
    let id = admin.create(&Form::new(TEST, "cron", YEARLY));
    admin.until("active task", |admin| admin.is_active(&id));
    let mut beside = Admin::beside(&admin);
    beside.start();
    beside.until("answer", |world| world.ask(&["status"])["role"] == "standby");
    assert_eq!(admin.listeners(), Some(1));
    admin.world.kill();
    beside.until_it_leads();
    admin.until_heard();
    admin.run_once(&id, TEST);
    assert_eq!(parsed(&admin.until_records(&id, 1)[0], "retval"), json!("kinit is 1314, True"));
    admin.disable(&id);
    beside.until("removal", |world| world.applied(&id).is_none());
}

#[test]
fn without_a_replica_set_deletions_of_kinit_are_found_by_looking() {
    let (Some(mongod), Some(redis)) = (Mongod::start_standalone(), servers::redis()) else {
        return;
    };
    let mut admin = Admin::on(&mongod, redis);
    admin.start();
    let id = admin.create(&Form::new(TEST, "cron", YEARLY));
    admin.until("active task", |admin| admin.is_active(&id));
    admin.disable(&id);
    admin.world.until("removal", |world| world.applied(&id).is_none());
    assert!(admin.world.lives());
}
