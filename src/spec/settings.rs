//! Settings as written: the keys of `cronwright.toml`. What they mean beside the environment and
//! flags is `daemon::settings`.

mod kinit;

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::spec::manifest::raw::{RawDefaults, RawDuration, RawSize, RawZone};
use crate::spec::operation::Operation;
pub use crate::spec::settings::kinit::RawKinit;
use crate::spec::task::TaskKind;

/// The settings of a daemon.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Settings")]
pub struct RawSettings {
    /// Folders that hold manifests, relative to the folder of this file. Built in: `["jobs.d"]`, and none
    /// beside a `source`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 100), inner(length(min = 1)), example = ["jobs.d"])]
    pub sources: Option<Vec<String>>,
    /// Where manifests are read from instead of folders, or besides them.
    #[serde(default)]
    pub source: Option<RawSource>,
    /// The time zone of jobs that name none, neither themselves nor by a default. Built in: UTC.
    #[serde(default)]
    #[schemars(example = "Asia/Shanghai")]
    pub timezone: Option<RawZone>,
    /// The time zone data: `newest` of the system's and the built-in one, `system`, `bundled`, or the
    /// folder of one, relative to the folder of this file. Built in: `newest`. Read when a daemon starts.
    #[serde(default)]
    #[schemars(length(min = 1), example = &"newest", example = &"system", example = &"bundled", example = &"/usr/share/zoneinfo")]
    pub tzdb: Option<String>,
    /// Where jobs and executions are kept: the URL of a store, or a table with its password apart.
    /// Built in: `sqlite:` in the state directory.
    #[serde(default)]
    pub store: Option<RawStore>,
    /// Where the API listens: `unix:PATH`, or `HOST:PORT`, which needs tokens. Built in: a socket in the state
    /// directory.
    #[serde(default)]
    #[schemars(length(min = 1, max = 8), inner(length(min = 1)), example = ["unix:.cronwright/cronwright.sock", "127.0.0.1:8470"])]
    pub listen: Option<Vec<String>>,
    /// How many executions may be in flight on this node at once, those between two attempts among them; what
    /// would be one more waits. Built in: any number. Read when a daemon starts.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100_000), example = 64)]
    pub max_running: Option<u32>,
    /// Values for every job that does not say otherwise.
    #[serde(default)]
    pub job_defaults: Option<RawDefaults>,
    /// What becomes of a snapshot with invalid manifests: `keep` applies the valid ones, and jobs of the
    /// others stay as they are; `reject` applies nothing. Built in: keep.
    #[serde(default)]
    #[schemars(example = &"reject")]
    pub on_invalid: Option<OnInvalid>,
    /// What becomes of stored jobs that somebody edited in the store: `repair` writes them anew, `report` tells
    /// of them. Neither is ever executed. Built in: repair.
    #[serde(default)]
    #[schemars(example = &"report")]
    pub self_heal: Option<SelfHeal>,
    /// When removals are so many that a person must confirm them.
    #[serde(default)]
    pub prune_guard: Option<RawPruneGuard>,
    /// This daemon beside others on one store.
    #[serde(default)]
    pub node: Option<RawNode>,
    /// Requests through Redis; absent: no Redis.
    #[serde(default)]
    pub redis: Option<RawRedis>,
    /// In the place of kinit-task: tasks that kinit's web admin adds, runs and takes away. Needs `[redis]`.
    #[serde(default)]
    pub kinit: Option<RawKinit>,
    /// What requests may do, through any door.
    #[serde(default)]
    pub requests: Option<RawRequests>,
    /// Classes in Python that jobs may call; absent: none.
    #[serde(default)]
    pub python: Option<RawPython>,
    /// `true`: secrets may be told by programs that the daemon starts (`exec`), with its rights. Built in: false.
    #[serde(default)]
    #[schemars(example = true)]
    pub allow_exec_secrets: Option<bool>,
    /// HTTP calls that jobs make.
    #[serde(default)]
    pub http_tasks: Option<RawHttpTasks>,
    /// Who may ask over TCP.
    #[serde(default)]
    pub http: Option<RawHttp>,
}

/// Who may ask over TCP.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Http")]
pub struct RawHttp {
    /// Tokens by name. Whoever sends one acts as `token:NAME`.
    #[serde(default)]
    pub tokens: RawTokens,
    /// Names by which the API is asked (`Host`), without ports, besides `localhost`, `127.0.0.1`, `[::1]` and those
    /// that it listens at. Built in: none.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1)), example = ["cron.example.com"])]
    pub hosts: Vec<String>,
}

/// Tokens by name.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(rename = "Tokens", extend("propertyNames" = { "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$" }))]
pub struct RawTokens(pub BTreeMap<String, RawToken>);

/// A token that is kept elsewhere: exactly one of `file` and `env`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Token", extend("oneOf" = [{ "required": ["file"] }, { "required": ["env"] }]))]
pub struct RawToken {
    /// What it may: `viewer` reads; `operator` runs, cancels, pauses and applies too; `admin` may everything.
    #[schemars(example = &"operator")]
    pub role: Role,
    /// A file that holds it, relative to the folder of the settings.
    #[serde(default)]
    #[schemars(length(min = 1), example = "/run/secrets/cronwright_token")]
    pub file: Option<String>,
    /// An environment variable of the daemon that holds it.
    #[serde(default)]
    #[schemars(length(min = 1), example = &"OPS_TOKEN")]
    pub env: Option<String>,
}

/// What a token may; each may what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Runs, cancels, pauses and applies.
    Operator,
    /// Adds, changes and removes jobs, and goes back.
    Admin,
}

impl Role {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// What requests may do, through any door.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Requests")]
pub struct RawRequests {
    /// Kinds of task that a job added by request may have. `command` and `script` make every door that takes `add`
    /// one through which programs are run. Built in: `class` alone.
    #[serde(default)]
    #[schemars(length(max = 4), example = ["class", "http"])]
    pub allow_tasks: Option<Vec<TaskKind>>,
}

/// HTTP calls that jobs make.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HttpTasks")]
pub struct RawHttpTasks {
    /// Addresses, or networks as `10.0.0.0/8`, that may be called although they are loopback, link-local, metadata
    /// or multicast addresses. Built in: none.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1)), example = ["127.0.0.1", "::1"])]
    pub allow_addresses: Vec<String>,
}

/// Classes in Python that jobs may call.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Python")]
pub struct RawPython {
    /// The interpreter, 3.8 or newer: a name that is looked up in the PATH, or a path relative to the folder of
    /// this file. Built in: `python3`.
    #[serde(default)]
    #[schemars(length(min = 1), example = &"python3", example = &"/opt/venv/bin/python")]
    pub interpreter: Option<String>,
    /// The folder that holds the modules, relative to the folder of this file. Its parent is importable too.
    #[schemars(length(min = 1), example = &"tasks")]
    pub root: String,
    /// Packages, modules or classes below the folder that may be called; `*` and `?` stand for any letters.
    /// Built in: all of them.
    #[serde(default)]
    #[schemars(length(min = 1), inner(length(min = 1)), example = ["reports", "test.main.Test"])]
    pub allow: Option<Vec<String>>,
    /// Whether a process that has made a call is kept for further calls, with the modules that it has loaded.
    /// Built in: `true`. With `false` each call is a process of its own.
    #[serde(default)]
    pub reuse: Option<bool>,
    /// A process that has more than this in memory after a call is not kept. Built in: `512MiB`.
    #[serde(default)]
    pub memory: Option<RawSize>,
}

/// A source of manifests that is no folder.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Source")]
pub struct RawSource {
    /// A repository elsewhere.
    pub git: RawGit,
}

/// A repository elsewhere, which is fetched by the program `git`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GitSource")]
pub struct RawGit {
    /// Where it is: `https`, `ssh` (also `user@host:path`), `git+ssh` or `file`; without a password.
    #[schemars(length(min = 1), example = &"https://git.example.com/ops/jobs.git", example = &"git@git.example.com:ops/jobs.git")]
    pub url: String,
    /// A branch, a tag, a full ref, or the full hash of a commit. Built in: `HEAD`, the server's own branch.
    #[serde(default, rename = "ref")]
    #[schemars(length(min = 1), example = &"main")]
    pub reference: Option<String>,
    /// The folder in it that holds manifests. Built in: `jobs.d`.
    #[serde(default)]
    #[schemars(length(min = 1), example = &"jobs.d", example = &".")]
    pub path: Option<String>,
    /// How often it is asked what is new, at least 5 s. Built in: 1 minute.
    #[serde(default)]
    #[schemars(example = "1m")]
    pub interval: Option<RawDuration>,
    /// Whether a commit counts only when its signature is good. Built in: no.
    #[serde(default)]
    pub require_signed: Option<bool>,
}

/// What becomes of a snapshot with invalid manifests (D7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// The valid ones are applied; jobs of the others stay as they are.
    #[default]
    Keep,
    /// Nothing is applied.
    Reject,
}

/// What becomes of stored jobs that somebody edited in the store (D9).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SelfHeal {
    /// They are written anew, as they are applied.
    #[default]
    Repair,
    /// They are told of.
    Report,
}

/// When removals are so many that a person must confirm them (D11).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PruneGuard")]
pub struct RawPruneGuard {
    /// At least so many at once. Built in: 5.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10000), example = 5)]
    pub removals: Option<u32>,
    /// And more than this share of the jobs of their source, in percent. Built in: 30.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100), example = 30)]
    pub percent: Option<u32>,
}

/// This daemon beside others on one store.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Node")]
pub struct RawNode {
    /// Its name, which no other daemon on the store may have. Built in: the name of the host.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"), example = "host-1")]
    pub name: Option<String>,
}

/// Requests through Redis.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Redis")]
pub struct RawRedis {
    /// Server, user and database number.
    #[schemars(example = "redis://127.0.0.1:6379/0")]
    pub url: String,
    /// The password of the URL's user, kept elsewhere.
    #[serde(default)]
    pub password: Option<RawPassword>,
    /// What the names of streams begin with. Built in: `cronwright`.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z0-9._:-]{1,64}$"), example = "team-a")]
    pub prefix: Option<String>,
    /// Producers that have a stream of their own, `{PREFIX}:requests:NAME`, beside `{PREFIX}:requests`. Built in: none.
    #[serde(default)]
    #[schemars(length(max = 64), inner(regex(pattern = "^[A-Za-z0-9._-]{1,64}$")), example = ["web"])]
    pub producers: Option<Vec<String>>,
    /// The operations that are taken in through Redis. Built in: all but `add`, `update` and `remove`.
    #[serde(default)]
    #[schemars(length(max = 15), example = ["run", "cancel", "ping"])]
    pub allow: Option<Vec<Operation>>,
    /// Whether what happens is told in the stream `{PREFIX}:events`. Built in: true.
    #[serde(default)]
    #[schemars(example = false)]
    pub events: Option<bool>,
}

/// A password that is kept elsewhere: exactly one of `file` and `env`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Password", extend("oneOf" = [{ "required": ["file"] }, { "required": ["env"] }]))]
pub struct RawPassword {
    /// A file that holds it, relative to the folder of the settings.
    #[serde(default)]
    #[schemars(length(min = 1), example = "/run/secrets/mongo_password")]
    pub file: Option<String>,
    /// An environment variable of the daemon that holds it.
    #[serde(default)]
    #[schemars(length(min = 1), example = &"MONGO_PASSWORD")]
    pub env: Option<String>,
}

/// A store with its password apart.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StoreTable")]
pub struct RawStoreTable {
    /// The URL of the store, with the user.
    #[schemars(example = "mongodb://cronwright@db.internal/cronwright")]
    pub url: String,
    /// The password of the URL's user, kept elsewhere.
    #[serde(default)]
    pub password: Option<RawPassword>,
}

/// A store: its URL, or a table.
#[derive(Debug, Clone)]
pub enum RawStore {
    /// `sqlite:PATH` or `mongodb://…`.
    Url(String),
    /// With the password apart.
    Table(RawStoreTable),
}

impl JsonSchema for RawStore {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Store".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<RawStoreTable>();
        json_schema!({
            "description": "The URL of a store, or a table with its password apart.",
            "anyOf": [{ "type": "string", "minLength": 1 }, table],
            "examples": [
                "sqlite:.cronwright/cronwright.db",
                "mongodb://127.0.0.1:27017/cronwright",
                { "url": "mongodb://cronwright@db.internal/cronwright", "password": { "file": "/run/secrets/mongo_password" } },
            ],
        })
    }
}

impl<'de> Deserialize<'de> for RawStore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawStore;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL or a table")
            }

            fn visit_str<E>(self, text: &str) -> Result<RawStore, E> {
                Ok(RawStore::Url(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawStore, A::Error> {
                RawStoreTable::deserialize(MapAccessDeserializer::new(map)).map(RawStore::Table)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
