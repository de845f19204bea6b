//! The servers that other tests stand on: they answer, keep their data, and end with their owner.

use std::process::{Command, Stdio};

use mongodb::Client;
use mongodb::bson::{Document, doc};

use crate::support::servers::{self, End, Mongod, Redis, RedisOptions};

/// Set for the process that is killed.
const HANG: &str = "CRONWRIGHT_TEST_HANG";

#[tokio::test]
async fn mongod_is_a_replica_set_and_keeps_its_data_when_killed() {
    let Some(mut mongod) = Mongod::start() else { return };
    let client = Client::with_uri_str(mongod.url("kept")).await.unwrap();
    let things = client.database("kept").collection::<Document>("things");
    things.insert_one(doc! { "_id": 1 }).await.unwrap();
    let process = format!("/proc/{}", mongod.pid());
    mongod.end(End::Kill);
    assert!(!std::path::Path::new(&process).exists());
    mongod.start_again();
    assert_eq!(things.find_one(doc! {}).await.unwrap(), Some(doc! { "_id": 1 }));
    mongod.end(End::Stop);
}

#[tokio::test]
async fn mongod_with_authentication_lets_nobody_in_without_password() {
    let Some(mongod) = servers::mongod_with_authentication() else { return };
    let database = servers::unique("auth");
    let thing = doc! { "_id": 1 };
    let insert = async |url: String| {
        let client = Client::with_uri_str(url).await.unwrap();
        client.database(&database).collection::<Document>("things").insert_one(&thing).await
    };
    let refused = insert(mongod.url_without_password(&database)).await.unwrap_err();
    assert!(refused.to_string().contains("requires authentication"), "{refused}");
    insert(mongod.url(&database)).await.unwrap();
}

#[tokio::test]
async fn redis_asks_for_its_password_and_keeps_what_it_appended() {
    let options = RedisOptions { password: Some("canary"), append_only: true };
    let Some(mut redis) = Redis::start(&options) else { return };
    let refused = redis::Client::open(redis.url_without_password(0)).unwrap();
    let refused = async {
        let mut connection = refused.get_multiplexed_async_connection().await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await
    };
    assert_eq!(refused.await.unwrap_err().code(), Some("NOAUTH"));
    let client = redis::Client::open(redis.url(3)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("SET").arg("k").arg("v").exec_async(&mut connection).await.unwrap();
    redis.end(End::Kill);
    redis.start_again();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let kept: String = redis::cmd("GET").arg("k").query_async(&mut connection).await.unwrap();
    assert_eq!(kept, "v");
}

/// Does this only for the test below, in a process of its own that is then killed.
#[test]
fn starts_a_redis_and_hangs() {
    if std::env::var_os(HANG).is_none() {
        return;
    }
    let Some(redis) = Redis::start(&RedisOptions::default()) else { return };
    println!("serving on {}", redis.url(0));
    loop {
        std::thread::park();
    }
}

#[test]
fn no_server_outlives_a_test_run_that_is_killed() {
    use std::io::{BufRead, BufReader};
    if Redis::start(&RedisOptions::default()).is_none() {
        return;
    }
    let mut run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "servers::starts_a_redis_and_hangs", "--nocapture"])
        .env(HANG, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(run.stdout.take().unwrap()).lines().map_while(Result::ok);
    let url = lines.map(|line| line.split_once("serving on ").map(|(_, url)| url.to_owned()));
    let url = url.flatten().next().unwrap();
    let address = url.trim_start_matches("redis://").trim_end_matches("/0").to_owned();
    let mut connection = std::net::TcpStream::connect(&address).unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    // The end of the connection is the end of the server: no sleeping, no looking again and again.
    let read = std::io::Read::read(&mut connection, &mut [0; 1]);
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[test]
fn tests_that_need_servers_are_counted_when_there_are_none() {
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "servers::mongod_is_a_replica_set_and_keeps_its_data_when_killed"])
        .args(["servers::redis_asks_for_its_password_and_keeps_what_it_appended"])
        .args(["--test-threads=2"])
        .env("CRONWRIGHT_TEST_SERVERS", "none")
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    let last = said.lines().last().unwrap();
    assert!(run.status.success());
    assert_eq!(
        last,
        "cronwright tests: 2 tests were not run: they need servers, and CRONWRIGHT_TEST_SERVERS=none"
    );
}
