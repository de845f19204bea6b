-- What is stored (docs/store.md). Times are RFC 3339 text in UTC with milliseconds, so that they sort.
CREATE TABLE IF NOT EXISTS meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS jobs (
    uid  TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    live INTEGER NOT NULL,
    doc  TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS jobs_name ON jobs (name) WHERE live = 1;

CREATE TABLE IF NOT EXISTS specs (
    id  TEXT PRIMARY KEY,
    doc TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS executions (
    id        TEXT PRIMARY KEY,
    job       TEXT NOT NULL,
    uid       TEXT NOT NULL,
    cause     TEXT NOT NULL,
    fire_time TEXT NOT NULL,
    last      TEXT NOT NULL,
    state     TEXT NOT NULL,
    outcome   TEXT,
    slot      INTEGER,
    doc       TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS executions_slot ON executions (uid, slot) WHERE slot IS NOT NULL;
CREATE INDEX IF NOT EXISTS executions_job ON executions (job, fire_time);
CREATE INDEX IF NOT EXISTS executions_uid ON executions (uid, fire_time);
CREATE INDEX IF NOT EXISTS executions_time ON executions (fire_time);
CREATE INDEX IF NOT EXISTS executions_last ON executions (last);
CREATE INDEX IF NOT EXISTS executions_in_flight ON executions (state) WHERE state <> 'ended';

CREATE TABLE IF NOT EXISTS overrides (
    uid TEXT PRIMARY KEY,
    doc TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS plans (
    generation INTEGER PRIMARY KEY,
    doc        TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at  TEXT NOT NULL,
    doc TEXT NOT NULL
);
