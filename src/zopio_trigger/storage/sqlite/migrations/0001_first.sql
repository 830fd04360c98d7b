-- The first schema. Ids are ours and time-ordered, so inserts go to the right edge of each tree and "newest first"
-- is a walk along a key. Instants are integer microseconds in UTC; JSON is ASCII text; `revision` fences every write.

CREATE TABLE environments (
    no         INTEGER PRIMARY KEY,
    slug       TEXT    NOT NULL UNIQUE,
    kind       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    digest     TEXT    NOT NULL PRIMARY KEY,
    env_no     INTEGER NOT NULL,
    hint       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id           TEXT    NOT NULL,
    env_no       INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    user_id      TEXT,
    name         TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    timestamp    INTEGER NOT NULL,
    deliver_at   INTEGER NOT NULL,
    delivered_at INTEGER,
    cancelled_at INTEGER,
    is_test      INTEGER NOT NULL,
    job          TEXT    NOT NULL,
    origin_run   TEXT,
    account      TEXT,
    payload      TEXT    NOT NULL,
    context      TEXT,
    PRIMARY KEY (env_no, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX events_by_user_id ON events (env_no, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX events_due ON events (deliver_at) WHERE delivered_at IS NULL AND cancelled_at IS NULL;

CREATE TABLE runs (
    id            TEXT    NOT NULL PRIMARY KEY,
    revision      INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    token         INTEGER NOT NULL,
    holder        TEXT,
    interruptions INTEGER NOT NULL,
    ready_at      INTEGER NOT NULL,
    started_at    INTEGER,
    paused_at     INTEGER,
    finished_at   INTEGER,
    fingerprint   TEXT,
    output        TEXT,
    error         TEXT,
    env_no        INTEGER NOT NULL,
    job           TEXT    NOT NULL,
    job_version   TEXT    NOT NULL,
    event_id      TEXT    NOT NULL,
    replay_no     INTEGER NOT NULL,
    replay_of     TEXT,
    queue         TEXT    NOT NULL,
    queue_key     TEXT    NOT NULL,
    priority      INTEGER NOT NULL,
    is_test       INTEGER NOT NULL,
    tags          TEXT    NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX runs_by_event ON runs (event_id, job, replay_no);
CREATE INDEX runs_by_env ON runs (env_no, id);
CREATE INDEX runs_by_job ON runs (env_no, job, id);
-- A run that is granted at once and completes never stands in these two, which spares it six writes to indexes
-- (a seventh of what a run costs here). What they leave out is found by runs_executing, or is most of all runs.
CREATE INDEX runs_by_state ON runs (env_no, state, id) WHERE state NOT IN ('executing', 'completed');
CREATE INDEX runs_by_job_state ON runs (env_no, job, state, id) WHERE state NOT IN ('executing', 'completed');
-- Job and state make it cover what is asked of it: a start with a long backlog counts it thirty times faster.
CREATE INDEX runs_ready ON runs (env_no, queue, queue_key, priority DESC, (started_at IS NULL), ready_at, id, job, state)
WHERE state = 'ready';
CREATE INDEX runs_executing ON runs (env_no, queue, queue_key) WHERE state = 'executing';

CREATE TABLE tasks (
    run_id       TEXT    NOT NULL,
    hash         TEXT    NOT NULL,
    revision     INTEGER NOT NULL,
    state        TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    parent_id    TEXT,
    kind         TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    attempt      INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    started_at   INTEGER NOT NULL,
    due_at       INTEGER,
    finished_at  INTEGER,
    output       TEXT,
    error        TEXT,
    PRIMARY KEY (run_id, hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX tasks_due ON tasks (due_at) WHERE state = 'waiting' AND due_at IS NOT NULL;

CREATE TABLE attempts (
    run_id      TEXT    NOT NULL,
    hash        TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    retry_at    INTEGER,
    error       TEXT    NOT NULL,
    PRIMARY KEY (run_id, hash, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE logs (
    run_id  TEXT    NOT NULL,
    token   INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    level   TEXT    NOT NULL,
    task_id TEXT,
    message TEXT    NOT NULL,
    data    TEXT,
    PRIMARY KEY (run_id, token, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    env_no      INTEGER NOT NULL,
    id          TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    version     TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    trigger     TEXT    NOT NULL,
    queue       TEXT    NOT NULL,
    "limit"     INTEGER,
    limit_key   TEXT,
    priority    INTEGER NOT NULL,
    on_success  INTEGER NOT NULL,
    on_failure  INTEGER NOT NULL,
    internal    INTEGER NOT NULL,
    schema      TEXT,
    source      TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    paused_at   INTEGER,
    PRIMARY KEY (env_no, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE schedules (
    env_no     INTEGER NOT NULL,
    id         TEXT    NOT NULL,
    revision   INTEGER NOT NULL,
    job        TEXT    NOT NULL,
    timetable  TEXT    NOT NULL,
    catch_up   TEXT    NOT NULL,
    overlap    TEXT    NOT NULL,
    defined_at INTEGER NOT NULL,
    resumed_at INTEGER NOT NULL,
    last_at    INTEGER,
    next_at    INTEGER,
    paused_at  INTEGER,
    PRIMARY KEY (env_no, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE queues (
    env_no    INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    revision  INTEGER NOT NULL,
    "limit"   INTEGER,
    paused_at INTEGER,
    PRIMARY KEY (env_no, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE minutes (
    env_no INTEGER NOT NULL,
    job    TEXT    NOT NULL,
    minute INTEGER NOT NULL,
    state  TEXT    NOT NULL,
    bucket INTEGER NOT NULL,
    runs   INTEGER NOT NULL,
    PRIMARY KEY (env_no, minute, job, state, bucket)
) STRICT, WITHOUT ROWID;

-- Events whose runs were pruned, and when the last of these had ended: an event's id stays taken for a while after.
CREATE TABLE ended_events (
    env_no   INTEGER NOT NULL,
    event_id TEXT    NOT NULL,
    ended_at INTEGER NOT NULL,
    PRIMARY KEY (env_no, event_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX ended_events_by_end ON ended_events (env_no, ended_at);

CREATE TABLE audits (
    id      TEXT    NOT NULL PRIMARY KEY,
    env_no  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    reason  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX audits_by_env ON audits (env_no, at);
