-- Tasks, their runs, the workers and the ledger of fire times.
-- Instants are integer microseconds since 1970 UTC. Words are those of the enums in src/domain; a change of the state
-- machine (src/domain/transitions.hpp) needs a migration here.

CREATE TABLE tasks (
  id                   INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
  owner_id             INTEGER,  -- a user; no foreign key: an account that is gone leaves its tasks
  name                 TEXT NOT NULL,
  description          TEXT NOT NULL,
  task_type            TEXT NOT NULL,
  schedule             TEXT,
  timezone             TEXT NOT NULL,
  timeout_seconds      INTEGER NOT NULL,
  max_retries          INTEGER NOT NULL,
  backoff_base_seconds REAL NOT NULL,
  backoff_factor       REAL NOT NULL,
  backoff_cap_seconds  REAL NOT NULL,
  trigger_rule         TEXT NOT NULL CHECK (trigger_rule IN ('all_success', 'all_done', 'any_success', 'none_failed')),
  overlap_policy       TEXT NOT NULL CHECK (overlap_policy IN ('allow', 'forbid', 'queue_one', 'replace')),
  misfire_policy       TEXT NOT NULL CHECK (misfire_policy IN ('skip', 'latest', 'all')),
  delivery             TEXT NOT NULL CHECK (delivery IN ('at_least_once', 'at_most_once')),
  priority             INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
  labels               TEXT NOT NULL,  -- JSON object of texts
  worker_labels        TEXT NOT NULL,  -- JSON object of texts
  route                TEXT NOT NULL,  -- src/domain/route.hpp
  shard_count          INTEGER NOT NULL CHECK (shard_count >= 1),
  status               TEXT NOT NULL CHECK (status IN ('active', 'paused')),
  version              INTEGER NOT NULL,
  created_at           INTEGER NOT NULL,
  updated_at           INTEGER NOT NULL,
  watermark            INTEGER,
  next_fire_at         INTEGER,
  schedule_since       INTEGER,
  retry_on             TEXT NOT NULL,  -- JSON object of lists
  max_lost_attempts    INTEGER NOT NULL,
  misfire_grace_seconds   INTEGER NOT NULL,
  catch_up_window_seconds INTEGER,
  max_concurrent_runs  INTEGER,
  max_queued_runs      INTEGER NOT NULL,
  archived_at          INTEGER,
  parameters           TEXT NOT NULL  -- JSON object; last, because it may be large
) STRICT;
CREATE UNIQUE INDEX tasks_name ON tasks (name) WHERE archived_at IS NULL;
CREATE INDEX tasks_next_fire_at ON tasks (next_fire_at) WHERE status = 'active' AND archived_at IS NULL;

CREATE TABLE task_dependencies (
  task_id     INTEGER NOT NULL REFERENCES tasks (id),
  upstream_id INTEGER NOT NULL REFERENCES tasks (id),
  position    INTEGER NOT NULL,  -- in the list as it was written
  PRIMARY KEY (task_id, upstream_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_dependencies_upstream ON task_dependencies (upstream_id, task_id);

-- Ended upstream runs that wait for their round to be complete.
CREATE TABLE dependency_rounds (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order in which they ended
  task_id         INTEGER NOT NULL REFERENCES tasks (id),
  upstream_id     INTEGER NOT NULL REFERENCES tasks (id),
  upstream_run_id INTEGER NOT NULL,
  state           TEXT NOT NULL CHECK (state IN ('succeeded', 'failed', 'timed_out', 'cancelled', 'skipped'))
) STRICT;
CREATE INDEX dependency_rounds_oldest ON dependency_rounds (task_id, upstream_id, id);

CREATE TABLE task_runs (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  task_id          INTEGER NOT NULL REFERENCES tasks (id),
  triggered_by     TEXT NOT NULL CHECK (triggered_by = 'schedule' OR triggered_by = 'manual'
                                        OR triggered_by = 'dependency' OR triggered_by = 'retry'),
  slot             INTEGER,
  retry_of         INTEGER,
  group_id         INTEGER,  -- the first run of its fire; NULL for a fire of one
  shard_index      INTEGER NOT NULL,
  shard_total      INTEGER NOT NULL,
  state            TEXT NOT NULL,
  waits_for        TEXT,     -- says more of the state waiting, and nothing of any other
  holds_room       INTEGER,  -- 1: under the task's max_concurrent_runs, until it ends
  route            TEXT NOT NULL,     -- the task's, as long as the run is not dispatched
  priority         INTEGER NOT NULL,  -- the same
  created_at       INTEGER NOT NULL,
  due_at           INTEGER NOT NULL,
  attempt          INTEGER NOT NULL DEFAULT 0,
  lost_attempts    INTEGER NOT NULL DEFAULT 0,
  token            INTEGER NOT NULL DEFAULT 0,
  worker           TEXT,
  incarnation      INTEGER,
  dispatched_at    INTEGER,
  started_at       INTEGER,
  ended_at         INTEGER,
  missing_since    INTEGER,  -- its worker's inventory has not listed it since
  cancel_reason    TEXT NOT NULL DEFAULT 'none',  -- marked for cancel; its worker is to stop it
  reason           TEXT NOT NULL DEFAULT 'none',
  message          TEXT NOT NULL DEFAULT '',
  exit_code        INTEGER,
  http_status      INTEGER,
  idempotency_key  TEXT,
  parameters       TEXT,
  -- OR, not IN: SQLite makes a temporary table for an IN of more than two values, at each and every update.
  CHECK (ended_at IS NULL AND (state = 'waiting' OR state = 'pending' OR state = 'dispatched' OR state = 'running')
    OR ended_at IS NOT NULL AND (state = 'succeeded' OR state = 'failed' OR state = 'timed_out' OR state = 'cancelled'
      OR state = 'skipped'))
) STRICT;
-- What a dispatcher looks for holds only runs that are there to be found: its cost does not grow with history. The last
-- column of some is constant; with it the index alone answers, without the row.
CREATE INDEX task_runs_pending ON task_runs (route, priority, due_at, id, state) WHERE state = 'pending';
CREATE INDEX task_runs_held ON task_runs (incarnation, state, missing_since) WHERE state IN ('dispatched', 'running');
CREATE INDEX task_runs_waiting ON task_runs (task_id, waits_for, due_at, id) WHERE state = 'waiting';
CREATE INDEX task_runs_timely ON task_runs (due_at) WHERE state = 'waiting' AND waits_for = 'time';
-- Empty but for tasks with a limit, and for fires of several shards: nobody else pays for them.
CREATE INDEX task_runs_room ON task_runs (task_id, ended_at, holds_room) WHERE ended_at IS NULL AND holds_room = 1;
CREATE INDEX task_runs_group ON task_runs (group_id, shard_index, id) WHERE group_id IS NOT NULL;
-- Active runs of a task. By ended_at and not by state, so that no step between insert and end touches it.
CREATE INDEX task_runs_active ON task_runs (task_id, ended_at) WHERE ended_at IS NULL;
CREATE INDEX task_runs_history ON task_runs (task_id, id);
CREATE INDEX task_runs_not_succeeded ON task_runs (state, id) WHERE ended_at IS NOT NULL AND state <> 'succeeded';
CREATE INDEX task_runs_retries ON task_runs (retry_of) WHERE retry_of IS NOT NULL;
CREATE UNIQUE INDEX task_runs_idempotency ON task_runs (task_id, idempotency_key, shard_index)
  WHERE idempotency_key IS NOT NULL;

-- What a run waits or waited for, in the order of its task's dependencies: runs of a round by id, fire times of upstream
-- tasks by `slot`. Settled once it has a state. Written by the transaction that makes the run: no foreign key.
CREATE TABLE run_upstreams (
  run_id          INTEGER NOT NULL,
  position        INTEGER NOT NULL,
  upstream_id     INTEGER NOT NULL,
  slot            INTEGER,  -- nothing: a run of a round, or the next run of a task without a schedule
  upstream_run_id INTEGER,  -- of the shards that run for one fire time, the one that counts
  state           TEXT CHECK (state IS NULL OR state = 'succeeded' OR state = 'failed' OR state = 'timed_out'
                              OR state = 'cancelled' OR state = 'skipped'),
  PRIMARY KEY (run_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_upstreams_open ON run_upstreams (upstream_id, slot) WHERE state IS NULL;
CREATE INDEX run_upstreams_of_waiting ON run_upstreams (run_id) WHERE state IS NULL;
CREATE INDEX run_upstreams_bound ON run_upstreams (upstream_run_id) WHERE upstream_run_id IS NOT NULL;

-- The last guard of two promises: a run that has ended stays as it is, and a token never goes back.
-- FAIL, not ABORT, and the hot statements say UPDATE OR FAIL: undoing one statement alone, which our transactions never
-- need, makes SQLite keep a copy of every page that the statement touches. That doubles the cost of an update.
CREATE TRIGGER task_runs_end_is_final BEFORE UPDATE OF state, token ON task_runs
WHEN OLD.ended_at IS NOT NULL AND (NEW.state <> OLD.state OR NEW.token <> OLD.token) OR NEW.token < OLD.token
BEGIN
  SELECT RAISE(FAIL, 'a run that has ended never changes, and no token goes back');
END;

-- Written when the attempt has ended, by the transaction that has just read the run: no foreign key looks for it again.
-- The current attempt is part of its run.
CREATE TABLE task_attempts (
  run_id        INTEGER NOT NULL,
  number        INTEGER NOT NULL,
  token         INTEGER NOT NULL,
  state         TEXT NOT NULL CHECK (state = 'succeeded' OR state = 'failed' OR state = 'timed_out'
                                     OR state = 'cancelled' OR state = 'lost'),
  worker        TEXT NOT NULL,
  incarnation   INTEGER NOT NULL,
  dispatched_at INTEGER,
  started_at    INTEGER,
  ended_at      INTEGER NOT NULL,
  reason        TEXT NOT NULL,
  message       TEXT NOT NULL,
  exit_code     INTEGER,
  http_status   INTEGER,
  log_lines     INTEGER NOT NULL,
  PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;

-- What runs that ended well left for those that run after them.
CREATE TABLE run_outputs (
  run_id INTEGER PRIMARY KEY,
  output TEXT NOT NULL  -- JSON object
) STRICT;

-- One row for each fire time and shard, or for a range of fire times that were skipped together. Written by the
-- transaction that has just updated the task: no foreign key looks for it again.
CREATE TABLE schedule_slots (
  task_id     INTEGER NOT NULL,
  slot        INTEGER NOT NULL,  -- the last one of a range
  shard       INTEGER NOT NULL,
  first_slot  INTEGER NOT NULL,
  disposition TEXT NOT NULL CHECK (disposition IN ('fired', 'skipped')),
  reason      TEXT NOT NULL,
  run_id      INTEGER,
  cause_run_id INTEGER,  -- overlap: the run that it was merged into, waits for or replaces
  decided_at  INTEGER NOT NULL,
  -- The time first: new rows stand together at the end, whatever the number of tasks and the length of their history.
  -- Whoever asks about one task names the instants (docs/decisions/0014).
  PRIMARY KEY (slot, task_id, shard)
) STRICT, WITHOUT ROWID;
CREATE INDEX schedule_slots_skipped ON schedule_slots (task_id, slot) WHERE disposition = 'skipped';

-- One row for each incarnation; the newest of a worker has the largest id.
CREATE TABLE workers (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  worker_id     TEXT NOT NULL,
  incarnation   INTEGER NOT NULL UNIQUE,
  host          TEXT NOT NULL,
  pid           INTEGER NOT NULL,
  version       TEXT NOT NULL,
  task_types    TEXT NOT NULL,  -- JSON array of texts
  labels        TEXT NOT NULL,  -- JSON object of texts
  slots         INTEGER NOT NULL,
  capacity      INTEGER NOT NULL,
  busy          INTEGER NOT NULL,
  load          REAL NOT NULL,
  memory_bytes  INTEGER NOT NULL,
  state         TEXT NOT NULL CHECK (state IN ('alive', 'draining', 'dead')),
  state_reason  TEXT NOT NULL,
  registered_at INTEGER NOT NULL,
  heartbeat_at  INTEGER NOT NULL,
  heartbeat_due INTEGER NOT NULL
) STRICT;
CREATE INDEX workers_by_name ON workers (worker_id, id);
CREATE INDEX workers_living ON workers (heartbeat_due) WHERE state IN ('alive', 'draining');

-- Output of attempts. No foreign key: a chunk may come late, and one stray chunk must not sink its batch.
CREATE TABLE run_logs (
  run_id     INTEGER NOT NULL,
  attempt    INTEGER NOT NULL,
  first_line INTEGER NOT NULL,
  lines      INTEGER NOT NULL,
  stream     TEXT NOT NULL CHECK (stream IN ('stdout', 'stderr')),
  at         INTEGER NOT NULL,
  text       TEXT NOT NULL,
  PRIMARY KEY (run_id, attempt, first_line)
) STRICT;

-- Dispatchers say here that they live, for health checks alone; whoever does forgets those that are gone since a day.
CREATE TABLE dispatchers (
  life    INTEGER PRIMARY KEY,  -- random, one per start
  seen_at INTEGER NOT NULL,
  due     INTEGER NOT NULL      -- silence until this instant means dead
) STRICT;

-- Written by health checks: only a write tells that the store can be written.
CREATE TABLE write_checks (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  checked_at INTEGER NOT NULL
) STRICT;

-- Accounts. Of secrets there are digests only, of passwords the text of Argon2id.
CREATE TABLE users (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
  name          TEXT NOT NULL,
  role          TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'user', 'viewer', 'worker')),
  disabled      INTEGER NOT NULL DEFAULT 0,
  password_hash TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  removed_at    INTEGER
) STRICT;
CREATE UNIQUE INDEX users_name ON users (name) WHERE removed_at IS NULL;

-- What the links for the first account are good for.
CREATE TABLE setup_tokens (
  digest     TEXT PRIMARY KEY,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE login_sessions (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id    INTEGER NOT NULL REFERENCES users (id),
  created_at INTEGER NOT NULL,
  used_at    INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  ended_at   INTEGER,
  end_reason TEXT NOT NULL DEFAULT '',
  address    TEXT NOT NULL,
  agent      TEXT NOT NULL
) STRICT;
CREATE INDEX login_sessions_of_user ON login_sessions (user_id, id) WHERE ended_at IS NULL;

-- One that was used stays until it would have expired: seeing it again means that somebody has a copy.
CREATE TABLE refresh_tokens (
  digest     TEXT PRIMARY KEY,
  session_id INTEGER NOT NULL REFERENCES login_sessions (id),
  expires_at INTEGER NOT NULL,
  used_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

CREATE TABLE api_keys (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id       INTEGER NOT NULL REFERENCES users (id),
  key_id        TEXT NOT NULL UNIQUE,
  name          TEXT NOT NULL,
  permissions   TEXT NOT NULL,  -- JSON array of texts
  secret_digest TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  expires_at    INTEGER NOT NULL,
  used_at       INTEGER,
  revoked_at    INTEGER
) STRICT;
CREATE INDEX api_keys_of_user ON api_keys (user_id, id) WHERE revoked_at IS NULL;

-- The public halves of the keys that API processes sign access tokens with.
CREATE TABLE signing_keys (
  kid          TEXT PRIMARY KEY,
  public_key   TEXT NOT NULL,
  published_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
