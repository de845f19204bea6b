//! Settings: flags over environment over the file, places, and what is said about mistakes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cronwright::daemon::settings::{Environment, Flags, Listen, Places, Settings, load};
use cronwright::diagnostic::Diagnostic;
use cronwright::diagnostic::render::{Colour, render_all};
use snapbox::{IntoData, assert_data_eq, file, str};

fn environment(present: &[&str], variables: &[(&str, &str)]) -> Environment {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut variables: BTreeMap<String, String> = variables.iter().map(own).collect();
    variables.entry("HOME".to_owned()).or_insert("/home/ann".to_owned());
    Environment {
        variables,
        cwd: PathBuf::from("/srv"),
        is_root: false,
        host_name: "host-1".to_owned(),
        present: present.iter().map(PathBuf::from).collect(),
    }
}

fn loaded(
    text: &str,
    flags: &Flags,
    environment: &Environment,
) -> (Option<Settings>, Vec<Diagnostic>) {
    let places = Places::find(flags, environment);
    load(&places, places.file.as_ref().map(|_| text.as_bytes()), flags, environment)
}

/// The mistakes in a settings file.
pub(super) fn diagnostics(text: &str) -> Vec<Diagnostic> {
    let environment = environment(&["/srv/cronwright.toml"], &[]);
    let (settings, diagnostics) = loaded(text, &Flags::default(), &environment);
    assert_eq!(settings.is_some(), !diagnostics.iter().any(Diagnostic::is_error));
    diagnostics
}

/// What people see of them.
fn complaints(text: &str) -> String {
    render_all(&diagnostics(text), Colour::Plain)
}

#[test]
fn without_a_file_everything_has_a_default() {
    let environment = environment(&["/srv/jobs.d"], &[]);
    let (settings, diagnostics) = loaded("", &Flags::default(), &environment);
    assert_eq!(diagnostics, []);
    assert_data_eq!(
        format!("{:#?}", settings.unwrap()),
        file!["settings.defaults.txt": Text].raw()
    );
}

#[test]
fn the_state_directory_and_the_file_are_found_by_rule() {
    let own = "/srv/cronwright.toml";
    let system = "/etc/cronwright/cronwright.toml";
    let config = |path: &str| Flags { config: Some(path.into()), ..Flags::default() };
    let state = |path: &str| Flags { state_dir: Some(path.into()), ..Flags::default() };
    let none = Flags::default;
    for (why, flags, present, variables, file, state_dir) in [
        ("nothing there", none(), vec![], vec![], None, "/home/ann/.local/state/cronwright"),
        ("XDG", none(), vec![], vec![("XDG_STATE_HOME", "/xdg")], None, "/xdg/cronwright"),
        ("own file first", none(), vec![own, system], vec![], Some(own), "/srv/.cronwright"),
        (
            "system file",
            none(),
            vec![system],
            vec![],
            Some(system),
            "/home/ann/.local/state/cronwright",
        ),
        ("jobs.d", none(), vec!["/srv/jobs.d"], vec![], None, "/srv/.cronwright"),
        (
            "systemd",
            none(),
            vec![own],
            vec![("STATE_DIRECTORY", "/var/lib/c:/x")],
            Some(own),
            "/var/lib/c",
        ),
        (
            "variable",
            none(),
            vec![own],
            vec![("CRONWRIGHT_STATE_DIR", "st"), ("STATE_DIRECTORY", "/x")],
            Some(own),
            "/srv/st",
        ),
        ("flag", state("/f"), vec![own], vec![("CRONWRIGHT_STATE_DIR", "/st")], Some(own), "/f"),
        (
            "config flag",
            config("sub/c.toml"),
            vec![own],
            vec![("CRONWRIGHT_CONFIG", "/x")],
            Some("/srv/sub/c.toml"),
            "/srv/.cronwright",
        ),
        (
            "config variable",
            none(),
            vec![],
            vec![("CRONWRIGHT_CONFIG", "/x/c.toml")],
            Some("/x/c.toml"),
            "/home/ann/.local/state/cronwright",
        ),
        (
            "empty is none",
            none(),
            vec![own],
            vec![("CRONWRIGHT_CONFIG", "")],
            Some(own),
            "/srv/.cronwright",
        ),
    ] {
        let places = Places::find(&flags, &environment(&present, &variables));
        assert_eq!(places.file.as_deref(), file.map(Path::new), "{why}");
        assert_eq!(places.state_dir, Path::new(state_dir), "{why}");
    }
    let root = Environment { is_root: true, ..environment(&[], &[]) };
    assert_eq!(Places::find(&none(), &root).state_dir, Path::new("/var/lib/cronwright"));
}

const FULL: &str = r#"
sources = ["jobs.d", "overlays/prod/"]
timezone = "Asia/Shanghai"
listen = ["unix:run/api.sock"]
store = { url = "mongodb://cw@db1:27017,db2/cronwright?replicaSet=rs", password = { file = "secrets/mongo" } }
[job_defaults]
timeout = "1h"
[node]
name = "worker-7"
[redis]
url = "redis://cache:6380/2"
password = { env = "REDIS_PASSWORD" }
prefix = "team-a"
"#;

#[test]
fn the_file_is_read_relative_to_its_folder_and_passwords_are_never_shown() {
    let environment = environment(&["/srv/cronwright.toml"], &[("REDIS_PASSWORD", "p:w")]);
    let (settings, diagnostics) = loaded(FULL, &Flags::default(), &environment);
    assert_eq!(diagnostics, []);
    let mut settings = settings.unwrap();
    settings
        .resolve_passwords(&environment, |path| {
            assert_eq!(path, Path::new("/srv/secrets/mongo"));
            Ok("s/cret\n".to_owned())
        })
        .unwrap();
    let shown = format!("{:?}\n{:?}\n{:?}", settings.sources, settings.store, settings.redis);
    assert_data_eq!(
        shown,
        str![[r#"
[SourceFolder { name: "jobs.d", path: "/srv/jobs.d" }, SourceFolder { name: "overlays/prod", path: "/srv/overlays/prod/" }]
Mongo(mongodb://cw:***@db1:27017,db2/cronwright?replicaSet=rs)
Some(RedisSettings { url: redis://:***@cache:6380/2, prefix: "team-a", producers: [], allow: {Run, Cancel, Pause, Resume, SkipNext, Has, Get, List, Running, History, Sync, Ping}, events: true })
"#]].raw()
    );
    let redis = settings.redis.as_ref().unwrap();
    assert_eq!(redis.url.expose(), "redis://:p%3Aw@cache:6380/2");
    let cronwright::daemon::settings::StoreUrl::Mongo(url) = &settings.store else { panic!() };
    assert_eq!(url.expose(), "mongodb://cw:s%2Fcret@db1:27017,db2/cronwright?replicaSet=rs");
    assert_eq!(settings.listen, [Listen::Unix("/srv/run/api.sock".into())]);
    assert_eq!(settings.node, "worker-7");
}

#[test]
fn flags_go_before_variables_and_both_before_the_file() {
    let variables = [
        ("CRONWRIGHT_STORE", "sqlite:v.db"),
        ("CRONWRIGHT_REDIS", "redis://v"),
        ("CRONWRIGHT_LISTEN", "unix:v.sock"),
        ("CRONWRIGHT_REVISION", "8f3c2a1"),
    ];
    let environment = environment(&["/srv/cronwright.toml"], &variables);
    let by_variable = loaded(FULL, &Flags::default(), &environment).0.unwrap();
    let flags = Flags {
        store: Some("mongodb://f".to_owned()),
        redis: Some("rediss://f/1".to_owned()),
        listen: vec!["unix:/f1.sock".to_owned(), "unix:f2.sock".to_owned()],
        sources: vec!["f.d".to_owned()],
        ..Flags::default()
    };
    let by_flag = loaded(FULL, &flags, &environment).0.unwrap();
    let shown = |settings: &Settings| {
        let redis = settings.redis.as_ref().unwrap();
        format!(
            "{:?} {} {} {:?} {:?}",
            settings.store, redis.url, redis.prefix, settings.listen, settings.revision
        )
    };
    assert_data_eq!(
        format!("{}\n{}\n{:?}", shown(&by_variable), shown(&by_flag), by_flag.sources),
        str![[r#"
Sqlite("/srv/v.db") redis://v team-a [Unix("/srv/v.sock")] Some("8f3c2a1")
Mongo(mongodb://f) rediss://f/1 team-a [Unix("/f1.sock"), Unix("/srv/f2.sock")] Some("8f3c2a1")
[SourceFolder { name: "f.d", path: "/srv/f.d" }]
"#]]
        .raw()
    );
}

#[test]
fn what_reconciling_may_do_is_read_with_its_bounds() {
    let environment = environment(&["/srv/cronwright.toml"], &[]);
    let shown = |text: &str| {
        let (settings, diagnostics) = loaded(text, &Flags::default(), &environment);
        let settings = settings.map(|it| (it.on_invalid, it.prune_guard));
        format!("{settings:?}\n{}", render_all(&diagnostics, Colour::Plain))
    };
    let all: Vec<String> = [
        "",
        "on_invalid = \"reject\"\nprune_guard = { percent = 100 }",
        "prune_guard = { removals = 10000, percent = 1 }",
        "on_invalid = \"drop\"\nprune_guard = { removals = 0, percent = 101, share = 3 }",
        "prune_guard = 5",
    ]
    .iter()
    .map(|text| shown(text))
    .collect();
    assert_data_eq!(
        all.join("\n"),
        str![[r#"
Some((Keep, PruneGuard { removals: 5, percent: 30 }))

Some((Reject, PruneGuard { removals: 5, percent: 100 }))

Some((Keep, PruneGuard { removals: 10000, percent: 1 }))

None
error[E0103]: `on_invalid` cannot be `drop`
 --> cronwright.toml:1:14
  |
1 | on_invalid = "drop"
  |              ^^^^^^
  |
  = help: write `keep` or `reject`

error[E0105]: `removals` must be at least 1
 --> cronwright.toml:2:28
  |
2 | prune_guard = { removals = 0, percent = 101, share = 3 }
  |                            ^

error[E0105]: `percent` must be at most 100
 --> cronwright.toml:2:41
  |
2 | prune_guard = { removals = 0, percent = 101, share = 3 }
  |                                         ^^^

error[E0107]: unknown field `share`
 --> cronwright.toml:2:46
  |
2 | prune_guard = { removals = 0, percent = 101, share = 3 }
  |                                              ^^^^^
  |
  = help: known here: `percent`, `removals`

None
error[E0101]: `prune_guard` must be a map, not the number `5`
 --> cronwright.toml:1:15
  |
1 | prune_guard = 5
  |               ^

"#]]
        .raw()
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one expected text")]
fn mistakes_in_the_file_have_their_place() {
    let text = r#"
sorces = ["jobs.d"]
timezone = "Mars"
store = "mongodb://ann:p/ss@db"
listen = ["127.0.0.1:8470", "unix:"]
max_running = 0
[job_defaults]
timeout = 60
cron = "@daily"
[node]
labels = ["etl"]
name = "-x"
[redis]
url = "redis://:pw@h"
password = { file = "a", env = "b" }
producers = ["web"]
"#;
    assert_data_eq!(complaints(text), str![[r#"
error[E0107]: unknown field `sorces`
 --> cronwright.toml:2:1
  |
2 | sorces = ["jobs.d"]
  | ^^^^^^ did you mean `sources`?

error[E0303]: `Mars` is not a time zone
 --> cronwright.toml:3:12
  |
3 | timezone = "Mars"
  |            ^^^^^^
  |
  = help: write an IANA name such as `Asia/Shanghai`, `Europe/Berlin` or `UTC`; offsets and abbreviations are not zones

error[E0601]: this is not the URL of a store: it has no host, or a wrong port
 --> cronwright.toml:4:9
  |
4 | store = "mongodb://ann:****@db"
  |         ^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: after `://` stand host and port; in a password, `/`, `:`, `@`, `?` and `#` are written as %2F, %3A, %40, %3F and %23

error[E0610]: `127.0.0.1:8470` is for those who have a token, and there is none
 --> cronwright.toml:5:11
  |
5 | listen = ["127.0.0.1:8470", "unix:"]
  |           ^^^^^^^^^^^^^^^^
  |
  = help: add for example `ops = { role = "operator", file = "secrets/ops" }` under `[http.tokens]` in the settings, or listen at `unix:PATH`

error[E0602]: `unix:` without a path
 --> cronwright.toml:5:29
  |
5 | listen = ["127.0.0.1:8470", "unix:"]
  |                             ^^^^^^^
  |
  = help: write `unix:PATH`

error[E0105]: `max_running` must be at least 1
 --> cronwright.toml:6:15
  |
6 | max_running = 0
  |               ^

error[E0304]: `60` has no unit
 --> cronwright.toml:8:11
  |
8 | timeout = 60
  |           ^^
  |
  = help: write for example `60s` or `60m`

error[E0107]: unknown field `cron`
 --> cronwright.toml:9:1
  |
9 | cron = "@daily"
  | ^^^^ this cannot be a default: each job says it

error[E0108]: `labels` is not supported yet
  --> cronwright.toml:11:1
   |
11 | labels = ["etl"]
   | ^^^^^^
   |
   = help: remove it: a key that did nothing would mislead

error[E0104]: `name` does not have the form asked for: `-x`
  --> cronwright.toml:12:8
   |
12 | name = "-x"
   |        ^^^^

error[E0603]: two kinds of source: `file` and `env`
  --> cronwright.toml:15:26
   |
15 | password = { file = "a", env = "b" }
   |              ----        ^^^ the second
   |              |
   |              the first
   |
   = help: give exactly one of `file`, `env`

"#]].raw());
}

#[test]
#[expect(clippy::too_many_lines, reason = "one expected text")]
fn more_mistakes_of_stores_and_redis() {
    let all: Vec<_> = [
        "store = { url = \"mongodb://ann:pw@db\", password = { env = \"P\" } }",
        "store = { url = \"sqlite:x\", password = { env = \"P\" } }",
        "store = { password = { env = \"P\" } }",
        "store = \"postgres://x\"",
        "store = 3",
        "redis = { url = \"redis://h/zero\" }",
        "listen = []",
        "store = [",
    ]
    .iter()
    .map(|text| complaints(text))
    .collect();
    assert_data_eq!(
        all.join("\n"),
        str![[r#"
error[E0603]: the URL has a password already
 --> cronwright.toml:1:40
  |
1 | store = { url = "mongodb://ann:**@db", password = { env = "P" } }
  |                 ---------------------  ^^^^^^^^
  |                 |
  |                 there
  |
  = help: remove one of the two

error[E0601]: a store of SQLite is a path without a password
 --> cronwright.toml:1:17
  |
1 | store = { url = "sqlite:x", password = { env = "P" } }
  |                 ^^^^^^^^^^
  |
  = help: write for example `sqlite:.cronwright/cronwright.db`

error[E0102]: the field `url` is missing
 --> cronwright.toml:1:1
  |
1 | store = { password = { env = "P" } }
  | ^^^^^

error[E0601]: this is not the URL of a store: `postgres://` is no scheme for it
 --> cronwright.toml:1:9
  |
1 | store = "postgres://x"
  |         ^^^^^^^^^^^^^^
  |
  = help: write `sqlite:PATH` or `mongodb://[USER[:PASSWORD]@]HOST[:PORT][,…]/DATABASE`

error[E0101]: `store` must be text or a map, not the number `3`
 --> cronwright.toml:1:9
  |
1 | store = 3
  |         ^
  |
  = help: quote it: "3"

error[E0601]: this is not the URL of Redis: after the host stands the number of a database
 --> cronwright.toml:1:17
  |
1 | redis = { url = "redis://h/zero" }
  |                 ^^^^^^^^^^^^^^^^
  |
  = help: write `redis://[USER[:PASSWORD]@]HOST[:PORT][/NUMBER]`

error[E0105]: `listen` is an empty list
 --> cronwright.toml:1:10
  |
1 | listen = []
  |          ^^

error[E0202]: this is not TOML: unclosed array, expected `]`
 --> cronwright.toml:1:10
  |
1 | store = [
  |          ^

"#]]
        .raw()
    );
}

#[test]
fn mistakes_in_flags_and_variables_point_into_them() {
    let variables = [
        ("CRONWRIGHT_STROE", "x"),
        ("CRONWRIGHT_REDIS", "localhost:6379"),
        ("CRONWRIGHT_JOB", "a"),
        ("CRONWRIGHT_SERVICE_HOST", "10.0.0.1"),
    ];
    let flags = Flags {
        store: Some("mongodb://ann:secret word@db".to_owned()),
        listen: vec![format!("unix:/{}", "x".repeat(120))],
        config: Some("nowhere.toml".into()),
        ..Flags::default()
    };
    let environment = environment(&[], &variables);
    let places = Places::find(&flags, &environment);
    let (settings, diagnostics) = load(&places, None, &flags, &environment);
    assert_eq!(settings, None);
    assert_data_eq!(render_all(&diagnostics, Colour::Plain), str![[r#"
warning[W0601]: `CRONWRIGHT_STROE` is not a variable that is read
 --> environment:1:1
  |
1 | CRONWRIGHT_STROE
  | ^^^^^^^^^^^^^^^^ did you mean `CRONWRIGHT_STORE`?

error[E0604]: the path of the socket has 121 bytes, and no more than 107 are possible: `/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`
 --> flag --listen:1:1
  |
1 | unix:/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: give a shorter one with `--listen unix:PATH`

error[E0601]: this is not the URL of a store: it holds white space
 --> flag --store:1:1
  |
1 | mongodb://ann:***********@db
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write `sqlite:PATH` or `mongodb://[USER[:PASSWORD]@]HOST[:PORT][,…]/DATABASE`

error[E0605]: there is no settings file `nowhere.toml`
--> nowhere.toml

error[E0601]: this is not the URL of Redis: it has no `://`
 --> variable CRONWRIGHT_REDIS:1:1
  |
1 | localhost:6379
  | ^^^^^^^^^^^^^^
  |
  = help: write `redis://[USER[:PASSWORD]@]HOST[:PORT][/NUMBER]`

"#]].raw());
}

#[test]
fn addresses_that_http_tasks_may_call_are_addresses_or_networks() {
    let text = "[http_tasks]\nallow_addresses = [\"127.0.0.1\", \"fd00::/8\"]\n";
    let (settings, diagnostics) =
        loaded(text, &Flags::default(), &environment(&["/srv/cronwright.toml"], &[]));
    assert_eq!(diagnostics, []);
    let allowed: Vec<_> = settings.unwrap().http_allow.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["127.0.0.1/32", "fd00::/8"]);
    assert_data_eq!(
        complaints("[http_tasks]\nallow_addresses = [\"::1\", \"localhost\"]\n"),
        str![[r#"
error[E0608]: `localhost` is neither an address nor a network
 --> cronwright.toml:2:27
  |
2 | allow_addresses = ["::1", "localhost"]
  |                           ^^^^^^^^^^^
  |
  = help: write for example `127.0.0.1` or `10.0.0.0/8`

"#]]
        .raw()
    );
}

/// The repository of settings, and the folders beside it.
fn git_source(text: &str, flags: &Flags, variables: &[(&str, &str)]) -> String {
    let (settings, diagnostics) =
        loaded(text, flags, &environment(&["/srv/cronwright.toml"], variables));
    assert_eq!(diagnostics, []);
    let settings = settings.unwrap();
    format!("{:?}\n{:?}", settings.sources, settings.git)
}

#[test]
fn a_repository_stands_instead_of_folders_or_besides_them() {
    let least = "[source.git]\nurl = \"git@git.example.com:ops/jobs.git\"\n";
    assert_data_eq!(git_source(least, &Flags::default(), &[]), str![[r#"
[]
Some(GitSettings { name: "git:jobs.d", remote: Remote { url: git@git.example.com:ops/jobs.git, reference: GitRef("HEAD"), path: "jobs.d", require_signed: false, ssh: Configured }, interval: 60s })
"#]].raw());
    let most = "sources = [\"local.d\"]\n[source.git]\nurl = \"https://token@git.example.com/jobs\"\nref = \"v1\"\npath = \".\"\ninterval = \"10m\"\nrequire_signed = true\n";
    let ssh = [("GIT_SSH_COMMAND", "ssh -i key")];
    let most_without_root = most.replace("path = \".\"", "path = \"./ops//jobs.d/\"");
    assert_data_eq!(git_source(&most_without_root, &Flags::default(), &ssh), str![[r#"
[SourceFolder { name: "local.d", path: "/srv/local.d" }]
Some(GitSettings { name: "git:ops/jobs.d", remote: Remote { url: https://git.example.com/jobs, reference: GitRef("v1"), path: "ops/jobs.d", require_signed: true, ssh: Command("ssh -i key") }, interval: 600s })
"#]].raw());
    let flags = Flags { sources: vec!["f.d".to_owned()], ..Flags::default() };
    assert_data_eq!(
        git_source(most, &flags, &ssh),
        str![[r#"
[SourceFolder { name: "f.d", path: "/srv/f.d" }]
None
"#]]
        .raw()
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_with_a_repository_is_said_at_its_place() {
    let text = r#"[source.git]
url = "https://ann:secret@git.example.com/jobs"
ref = "a..b"
path = "/jobs.d"
interval = "1s"
"#;
    assert_data_eq!(complaints(text), str![[r#"
error[E0607]: this cannot be used as the URL of a repository: it has a password, which every list of processes would show
 --> cronwright.toml:2:7
  |
2 | url = "https://ann:******@git.example.com/jobs"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: leave it out, and let a credential helper of git give it (docs/sources.md)

error[E0607]: `a..b` cannot be used as a ref: it cannot be the name of a branch or tag
 --> cronwright.toml:3:7
  |
3 | ref = "a..b"
  |       ^^^^^^
  |
  = help: write for example `main`

error[E0607]: `/jobs.d` is not a path within a repository
 --> cronwright.toml:4:8
  |
4 | path = "/jobs.d"
  |        ^^^^^^^^^
  |
  = help: write a path such as `jobs.d`, or `.` for all of it

error[E0607]: `1s` is too short for asking a server again and again
 --> cronwright.toml:5:12
  |
5 | interval = "1s"
  |            ^^^^
  |
  = help: write `5s` or more; SIGHUP and `cronwright apply` ask at once

"#]].raw());
    let text = "[source.git]\nurl = \"ext::sh -c evil\"\npath = \"../x\"\ninterval = \"fast\"\n";
    assert_data_eq!(
        complaints(text),
        str![[r#"
error[E0304]: `fast` is not a duration
 --> cronwright.toml:4:12
  |
4 | interval = "fast"
  |            ^^^^^^
  |
  = help: write for example `500ms`, `90s`, `1h30m` or `7d`

"#]]
        .raw()
    );
    let text = "[source.git]\nurl = \"http://git.example.com/x\"\nbranch = \"main\"\n";
    assert_data_eq!(
        complaints(text),
        str![[r#"
error[E0107]: unknown field `branch`
 --> cronwright.toml:3:1
  |
3 | branch = "main"
  | ^^^^^^
  |
  = help: known here: `interval`, `path`, `ref`, `require_signed`, `url`

"#]]
        .raw()
    );
    assert_data_eq!(
        complaints("[source]\n"),
        str![[r#"
error[E0102]: the field `git` is missing
 --> cronwright.toml:1:2
  |
1 | [source]
  |  ^^^^^^

"#]]
        .raw()
    );
    let text = r#"sources = ["jobs.d/team"]
[source.git]
url = "file:///srv/jobs.git"
"#;
    assert_data_eq!(
        complaints(text),
        str![[r#"
error[E0607]: files of the repository and of the folder `jobs.d/team` would have the same paths
 --> cronwright.toml:2:9
  |
2 | [source.git]
  |         ^^^
  |
  = help: give one of the two another name: the folder here, or the folder in the repository

"#]]
        .raw()
    );
    assert_data_eq!(
        complaints("[source.git]\npath = \"x\"\n"),
        str![[r#"
error[E0102]: the field `url` is missing
 --> cronwright.toml:1:9
  |
1 | [source.git]
  |         ^^^

"#]]
        .raw()
    );
    assert_data_eq!(
        complaints("[source.svn]\nurl = \"x\"\n"),
        str![[r#"
error[E0102]: the field `git` is missing
 --> cronwright.toml:1:2
  |
1 | [source.svn]
  |  ^^^^^^

error[E0107]: unknown field `svn`
 --> cronwright.toml:1:9
  |
1 | [source.svn]
  |         ^^^
  |
  = help: known here: `git`

"#]]
        .raw()
    );
}

const KINIT: &str = "[redis]\nurl = \"redis://h\"\n[kinit]\nenabled = true\n";

#[test]
fn kinit_has_its_own_names_in_the_database_of_the_store() {
    let environment = environment(&["/srv/cronwright.toml"], &[("KINIT", "p:w")]);
    let kinit = |text: &str| {
        let (settings, diagnostics) = loaded(text, &Flags::default(), &environment);
        assert_eq!(diagnostics, []);
        let mut settings = settings.unwrap();
        settings.resolve_passwords(&environment, |_| Ok("secret".to_owned())).unwrap();
        settings.kinit
    };
    let store = "store = { url = \"mongodb://cw@db/kinit?w=1\", password = { file = \"p\" } }\n";
    let at_store = kinit(&format!("{store}{KINIT}")).unwrap();
    assert_eq!(at_store.url.expose(), "mongodb://cw:secret@db/kinit?w=1");
    assert_eq!((at_store.channel.as_str(), at_store.database.as_str()), ("kinit_queue", "kinit"));
    assert_eq!(at_store.timezone.name(), "Asia/Shanghai");
    let names = [&at_store.jobs, &at_store.records, &at_store.tasks];
    assert_eq!(names, ["scheduler_task_jobs", "scheduler_task_record", "vadmin_system_task"]);
    let own = "url = \"mongodb://k@other\"\npassword = { env = \"KINIT\" }\ndatabase = \"web\"\n\
        channel = \"q\"\ntimezone = \"UTC\"\njobs = \"a\"\nrecords = \"b\"\ntasks = \"c\"\n";
    let own = kinit(&format!("{KINIT}{own}")).unwrap();
    assert_eq!(own.url.expose(), "mongodb://k:p%3Aw@other");
    assert_eq!(
        [&own.channel, &own.database, &own.jobs, &own.records, &own.tasks],
        ["q", "web", "a", "b", "c"]
    );
    assert_eq!(kinit("[kinit]\nchannel = \"x\"\n"), None, "it is not enabled");
}

#[test]
#[expect(clippy::too_many_lines, reason = "one expected text")]
fn kinit_without_what_it_needs_is_refused() {
    let all: Vec<_> = [
        "kinit = { enabled = true }".to_owned(),
        format!("store = \"mongodb://db\"\n{KINIT}"),
        format!("{KINIT}url = \"redis://db/kinit\"\ntimezone = \"Mars\""),
        format!("{KINIT}url = \"mongodb://a:b@db/kinit\"\npassword = {{ env = \"P\" }}\n"),
        format!("{KINIT}url = \"mongodb://db/kinit\"\njobs = \"tasks\"\ntasks = \"tasks\"\n"),
        format!("{KINIT}database = \"a/b\"\nqueue = \"x\"\n"),
    ]
    .iter()
    .map(|text| complaints(text))
    .collect();
    assert_data_eq!(all.join("\n"), str![[r#"
error[E0609]: `[kinit]` needs `[redis]`: what kinit publishes comes from there
 --> cronwright.toml:1:11
  |
1 | kinit = { enabled = true }
  |           ^^^^^^^
  |
  = help: add `[redis]` with the `url` of the server on which kinit publishes

error[E0609]: `[kinit]` needs the MongoDB of kinit, and the store is none
 --> cronwright.toml:1:11
  |
1 | kinit = { enabled = true }
  |           ^^^^^^^
  |
  = help: name it: `url = "mongodb://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE"`

error[E0609]: `[kinit]` needs the name of kinit's database, and the URL has none
 --> cronwright.toml:5:1
  |
5 | enabled = true
  | ^^^^^^^
  |
  = help: write `database = "NAME"`, or name it in the URL after the host

error[E0601]: this is not the URL of a MongoDB: `redis://` is no scheme for it
 --> cronwright.toml:5:7
  |
5 | url = "redis://db/kinit"
  |       ^^^^^^^^^^^^^^^^^^
  |
  = help: write `mongodb://[USER[:PASSWORD]@]HOST[:PORT][,…]/DATABASE`

error[E0303]: `Mars` is not a time zone
 --> cronwright.toml:6:12
  |
6 | timezone = "Mars"
  |            ^^^^^^
  |
  = help: write an IANA name such as `Asia/Shanghai`, `Europe/Berlin` or `UTC`; offsets and abbreviations are not zones

error[E0603]: the URL has a password already
 --> cronwright.toml:6:1
  |
5 | url = "mongodb://a:*@db/kinit"
  |       ------------------------ there
6 | password = { env = "P" }
  | ^^^^^^^^
  |
  = help: remove one of the two

error[E0609]: `jobs`, `records` and `tasks` are three collections, and two are the same
 --> cronwright.toml:4:1
  |
4 | enabled = true
  | ^^^^^^^
  |
  = help: leave them out: the built-in names are kinit's own

error[E0104]: `database` does not have the form asked for: `a/b`
 --> cronwright.toml:5:12
  |
5 | database = "a/b"
  |            ^^^^^

error[E0107]: unknown field `queue`
 --> cronwright.toml:6:1
  |
6 | queue = "x"
  | ^^^^^
  |
  = help: known here: `channel`, `database`, `enabled`, `jobs`, `password`, `records`, `tasks`, `timezone`, `url`

"#]].raw());
}

const TOKEN: &str = "canary-q7Ck2vX9mZ4rT8wB1nL6pD3sF5h";

#[test]
fn tokens_are_fetched_from_files_and_variables_and_never_shown() {
    let text = "[http]\nhosts = [\"Cron.Example.com\", \"[::2]\"]\n[http.tokens]\n\
                ci = { role = \"operator\", file = \"secrets/ci\" }\n\
                web = { role = \"viewer\", env = \"WEB_TOKEN\" }\n";
    let variable = format!("{TOKEN}-other");
    let environment = environment(&["/srv/cronwright.toml"], &[("WEB_TOKEN", &variable)]);
    let (settings, diagnostics) = loaded(text, &Flags::default(), &environment);
    assert_eq!(diagnostics, []);
    let http = settings.unwrap().http;
    assert_eq!(http.hosts, ["cron.example.com", "[::2]"]);
    let read = |path: &Path| {
        assert_eq!(path, Path::new("/srv/secrets/ci"));
        Ok(format!("{TOKEN}\n"))
    };
    let tokens = http.fetch_tokens(&environment, read).unwrap();
    assert_eq!(format!("{tokens:?}"), "[Token(ci, operator), Token(web, viewer)]");
    let same = http.fetch_tokens(&environment, |_| Ok(variable.clone())).unwrap_err();
    assert_eq!(same.to_string(), "the tokens `ci` and `web` are the same");
    let away = http.fetch_tokens(&environment, |_| Err(std::io::ErrorKind::NotFound.into()));
    assert_eq!(
        away.unwrap_err().to_string(),
        "the token `ci` cannot be read from /srv/secrets/ci: entity not found"
    );
}

#[test]
fn places_to_listen_at_are_sockets_and_addresses() {
    let tokens = "[http.tokens]\nci = { role = \"operator\", env = \"CI_TOKEN\" }\n";
    let environment = environment(&["/srv/cronwright.toml"], &[]);
    let read = |place: &str| {
        let text = format!("listen = [\"{place}\"]\n{tokens}");
        match loaded(&text, &Flags::default(), &environment) {
            (Some(settings), _) => format!("{:?}", settings.listen),
            (None, diagnostics) => diagnostics[0].message.clone(),
        }
    };
    assert_eq!(read("unix:x.sock"), r#"[Unix("/srv/x.sock")]"#);
    for place in ["127.0.0.1:8470", "tcp:127.0.0.1:8470", "http://127.0.0.1:8470"] {
        assert_eq!(read(place), "[Tcp(127.0.0.1:8470)]");
    }
    assert_eq!(read("[::1]:0"), "[Tcp([::1]:0)]");
    for place in ["https://localhost:8470", "8470", "localhost", "/x.sock", "http://u@h:1"] {
        assert_eq!(read(place), format!("`{place}` is not an address to listen at"));
    }
    let host = complaints("[http]\nhosts = [\"a\", \"https://a\"]\n");
    assert!(
        host.starts_with(
            "error[E0104]: `https://a` is not the name of a host\n --> cronwright.toml:2:15"
        ),
        "{host}"
    );
    assert_data_eq!(
        complaints("[http]\nhosts = [\"https://a\"]\n[http.tokens]\nX = { role = \"root\" }\n"),
        str![[r#"
error[E0104]: `X` cannot be a key here
 --> cronwright.toml:4:1
  |
4 | X = { role = "root" }
  | ^

error[E0603]: no source is given here
 --> cronwright.toml:4:1
  |
4 | X = { role = "root" }
  | ^
  |
  = help: give exactly one of `file`, `env`

error[E0103]: `role` cannot be `root`
 --> cronwright.toml:4:14
  |
4 | X = { role = "root" }
  |              ^^^^^^
  |
  = help: write `viewer` or `operator` or `admin`

"#]]
        .raw()
    );
}
