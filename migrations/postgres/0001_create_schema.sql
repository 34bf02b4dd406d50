-- Tasks, their runs, the workers and the ledger of fire times. The same tables as in migrations/sqlite.
-- Words are those of the enums in src/domain; a change of the state machine (src/domain/transitions.hpp) needs a
-- migration here. Texts that are looked up or sorted compare byte by byte (COLLATE "C"), as in every other store.
-- Everything that writes locks tasks first, by id, and runs after them, by id: so nobody waits in a circle.

CREATE TABLE tasks (
  id                   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  owner_id             BIGINT,  -- a user; no foreign key: an account that is gone leaves its tasks
  name                 TEXT COLLATE "C" NOT NULL,
  description          TEXT NOT NULL,
  task_type            TEXT COLLATE "C" NOT NULL,
  schedule             TEXT,
  timezone             TEXT NOT NULL,
  timeout_seconds      BIGINT NOT NULL,
  max_retries          INTEGER NOT NULL,
  backoff_base_seconds DOUBLE PRECISION NOT NULL,
  backoff_factor       DOUBLE PRECISION NOT NULL,
  backoff_cap_seconds  DOUBLE PRECISION NOT NULL,
  trigger_rule         TEXT NOT NULL CHECK (trigger_rule IN ('all_success', 'all_done', 'any_success', 'none_failed')),
  overlap_policy       TEXT NOT NULL CHECK (overlap_policy IN ('allow', 'forbid', 'queue_one', 'replace')),
  misfire_policy       TEXT NOT NULL CHECK (misfire_policy IN ('skip', 'latest', 'all')),
  delivery             TEXT NOT NULL CHECK (delivery IN ('at_least_once', 'at_most_once')),
  priority             INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
  labels               TEXT NOT NULL,                      -- JSON object of texts
  worker_labels        TEXT NOT NULL,                      -- JSON object of texts
  route                TEXT COLLATE "C" NOT NULL,          -- src/domain/route.hpp
  shard_count          INTEGER NOT NULL CHECK (shard_count >= 1),
  status               TEXT NOT NULL CHECK (status IN ('active', 'paused')),
  version              BIGINT NOT NULL,
  created_at           TIMESTAMPTZ NOT NULL,
  updated_at           TIMESTAMPTZ NOT NULL,
  watermark            TIMESTAMPTZ,
  next_fire_at         TIMESTAMPTZ,
  schedule_since       TIMESTAMPTZ,
  retry_on             TEXT NOT NULL,  -- JSON object of lists
  max_lost_attempts    INTEGER NOT NULL,
  misfire_grace_seconds   BIGINT NOT NULL,
  catch_up_window_seconds BIGINT,
  max_concurrent_runs  INTEGER,
  max_queued_runs      INTEGER NOT NULL,
  archived_at          TIMESTAMPTZ,
  parameters           TEXT NOT NULL                       -- JSON object
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX tasks_name ON tasks (name) WHERE archived_at IS NULL;
CREATE INDEX tasks_next_fire_at ON tasks (next_fire_at) WHERE status = 'active' AND archived_at IS NULL;

CREATE TABLE task_dependencies (
  task_id     BIGINT NOT NULL REFERENCES tasks (id),
  upstream_id BIGINT NOT NULL REFERENCES tasks (id),
  position    INTEGER NOT NULL,  -- in the list as it was written
  PRIMARY KEY (task_id, upstream_id)
);
CREATE INDEX task_dependencies_upstream ON task_dependencies (upstream_id, task_id);

-- Ended upstream runs that wait for their round to be complete.
CREATE TABLE dependency_rounds (
  id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- the order in which they ended
  task_id         BIGINT NOT NULL,
  upstream_id     BIGINT NOT NULL,
  upstream_run_id BIGINT NOT NULL,
  state           TEXT NOT NULL CHECK (state IN ('succeeded', 'failed', 'timed_out', 'cancelled', 'skipped'))
);
CREATE INDEX dependency_rounds_oldest ON dependency_rounds (task_id, upstream_id, id);

-- No foreign key to tasks: they are never deleted, and who makes a run holds a lock on its task anyway.
-- Vacuumed early: what the hot path has left behind must not slow it down. Each run is written three times; the pages of the
-- indexes leave room for that, where they would be split or searched for dead entries otherwise.
CREATE TABLE task_runs (
  id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY WITH (fillfactor = 40),
  task_id          BIGINT NOT NULL,
  slot             TIMESTAMPTZ,
  retry_of         BIGINT,
  group_id         BIGINT,  -- the first run of its fire; NULL for a fire of one
  created_at       TIMESTAMPTZ NOT NULL,
  due_at           TIMESTAMPTZ NOT NULL,
  token            BIGINT NOT NULL DEFAULT 0,
  incarnation      BIGINT,
  dispatched_at    TIMESTAMPTZ,
  started_at       TIMESTAMPTZ,
  ended_at         TIMESTAMPTZ,
  missing_since    TIMESTAMPTZ,  -- its worker's inventory has not listed it since
  shard_index      INTEGER NOT NULL,
  shard_total      INTEGER NOT NULL,
  priority         INTEGER NOT NULL,  -- the task's, as long as the run is not dispatched
  attempt          INTEGER NOT NULL DEFAULT 0,
  lost_attempts    INTEGER NOT NULL DEFAULT 0,
  exit_code        INTEGER,
  http_status      INTEGER,
  holds_room       BOOLEAN,  -- under the task's max_concurrent_runs, until it ends
  triggered_by     TEXT NOT NULL CHECK (triggered_by IN ('schedule', 'manual', 'dependency', 'retry')),
  state            TEXT NOT NULL,
  waits_for        TEXT,  -- says more of the state waiting, and nothing of any other
  route            TEXT COLLATE "C" NOT NULL,  -- the task's, as long as the run is not dispatched
  worker           TEXT COLLATE "C",
  cancel_reason    TEXT NOT NULL DEFAULT 'none',  -- marked for cancel; its worker is to stop it
  reason           TEXT NOT NULL DEFAULT 'none',
  message          TEXT NOT NULL DEFAULT '',
  idempotency_key  TEXT COLLATE "C",
  parameters       TEXT,
  CHECK (ended_at IS NULL AND state IN ('waiting', 'pending', 'dispatched', 'running')
    OR ended_at IS NOT NULL AND state IN ('succeeded', 'failed', 'timed_out', 'cancelled', 'skipped'))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
        autovacuum_analyze_scale_factor = 0.02);
-- What a dispatcher looks for holds only runs that are there to be found: its cost does not grow with history.
CREATE INDEX task_runs_pending ON task_runs (route, priority, due_at, id) WHERE state = 'pending';
CREATE INDEX task_runs_held ON task_runs (incarnation) WHERE state IN ('dispatched', 'running');
CREATE INDEX task_runs_waiting ON task_runs (task_id, waits_for, due_at, id) WHERE state = 'waiting';
CREATE INDEX task_runs_timely ON task_runs (due_at) WHERE state = 'waiting' AND waits_for = 'time';
-- Empty but for tasks with a limit: nobody else pays for them.
CREATE INDEX task_runs_room ON task_runs (task_id) WHERE ended_at IS NULL AND holds_room;
CREATE INDEX task_runs_group ON task_runs (group_id, shard_index, id) WHERE group_id IS NOT NULL;
-- The runs of a task, in two halves: a row stands in one of them, so that what moves a run writes one entry less.
CREATE INDEX task_runs_active ON task_runs (task_id, id) WITH (fillfactor = 50) WHERE ended_at IS NULL;
CREATE INDEX task_runs_history ON task_runs (task_id, id) WHERE ended_at IS NOT NULL;
CREATE INDEX task_runs_not_succeeded ON task_runs (state, id) WHERE ended_at IS NOT NULL AND state <> 'succeeded';
CREATE INDEX task_runs_retries ON task_runs (retry_of) WHERE retry_of IS NOT NULL;
CREATE UNIQUE INDEX task_runs_idempotency ON task_runs (task_id, idempotency_key, shard_index)
  WHERE idempotency_key IS NOT NULL;

-- What a run waits or waited for, in the order of its task's dependencies: runs of a round by id, fire times of upstream
-- tasks by `slot`. Settled once it has a state.
CREATE TABLE run_upstreams (
  run_id          BIGINT NOT NULL,
  upstream_id     BIGINT NOT NULL,
  slot            TIMESTAMPTZ,  -- nothing: a run of a round, or the next run of a task without a schedule
  upstream_run_id BIGINT,       -- of the shards that run for one fire time, the one that counts
  position        INTEGER NOT NULL,
  state           TEXT CHECK (state IN ('succeeded', 'failed', 'timed_out', 'cancelled', 'skipped')),
  PRIMARY KEY (run_id, position)
);
CREATE INDEX run_upstreams_open ON run_upstreams (upstream_id, slot) WHERE state IS NULL;
CREATE INDEX run_upstreams_of_waiting ON run_upstreams (run_id) WHERE state IS NULL;
CREATE INDEX run_upstreams_bound ON run_upstreams (upstream_run_id) WHERE upstream_run_id IS NOT NULL;

-- The last guard of two promises: a run that has ended stays as it is, and a token never goes back. The condition stands
-- at the trigger and not in the function: a row that may change costs no call. AFTER, because a trigger before the update
-- would have every row read and locked once more, which doubles the price of the update.
CREATE FUNCTION refuse_change_of_the_past() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'a run that has ended never changes, and no token goes back'; END $$;
CREATE TRIGGER task_runs_end_is_final AFTER UPDATE OF state, token ON task_runs FOR EACH ROW
WHEN (OLD.ended_at IS NOT NULL AND (NEW.state <> OLD.state OR NEW.token <> OLD.token) OR NEW.token < OLD.token)
EXECUTE FUNCTION refuse_change_of_the_past();

-- Written when the attempt has ended, by the transaction that has just read the run: no foreign key looks for it again.
-- The current attempt is part of its run.
CREATE TABLE task_attempts (
  run_id        BIGINT NOT NULL,
  token         BIGINT NOT NULL,
  incarnation   BIGINT NOT NULL,
  dispatched_at TIMESTAMPTZ,
  started_at    TIMESTAMPTZ,
  ended_at      TIMESTAMPTZ NOT NULL,
  log_lines     BIGINT NOT NULL,
  number        INTEGER NOT NULL,
  exit_code     INTEGER,
  http_status   INTEGER,
  state         TEXT NOT NULL CHECK (state IN ('succeeded', 'failed', 'timed_out', 'cancelled', 'lost')),
  worker        TEXT NOT NULL,
  reason        TEXT NOT NULL,
  message       TEXT NOT NULL,
  PRIMARY KEY (run_id, number)
);

-- What runs that ended well left for those that run after them.
CREATE TABLE run_outputs (
  run_id BIGINT PRIMARY KEY,
  output TEXT NOT NULL  -- JSON object
);

-- One row for each fire time and shard, or for a range of fire times that were skipped together.
CREATE TABLE schedule_slots (
  task_id     BIGINT NOT NULL,
  slot        TIMESTAMPTZ NOT NULL,  -- the last one of a range
  first_slot  TIMESTAMPTZ NOT NULL,
  decided_at  TIMESTAMPTZ NOT NULL,
  run_id      BIGINT,
  cause_run_id BIGINT,  -- overlap: the run that it was merged into, waits for or replaces
  shard       INTEGER NOT NULL,
  disposition TEXT NOT NULL CHECK (disposition IN ('fired', 'skipped')),
  reason      TEXT NOT NULL,
  -- The time first: new rows stand together at the end, whatever the number of tasks and the length of their history.
  -- Whoever asks about one task names the instants (docs/decisions/0014).
  PRIMARY KEY (slot, task_id, shard)
);
CREATE INDEX schedule_slots_skipped ON schedule_slots (task_id, slot) WHERE disposition = 'skipped';

-- One row for each incarnation; the newest of a worker has the largest id. Heartbeats change no indexed column.
CREATE TABLE workers (
  id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  worker_id     TEXT COLLATE "C" NOT NULL,
  incarnation   BIGINT NOT NULL UNIQUE,
  host          TEXT NOT NULL,
  pid           BIGINT NOT NULL,
  version       TEXT NOT NULL,
  task_types    TEXT NOT NULL,  -- JSON array of texts
  labels        TEXT NOT NULL,  -- JSON object of texts
  slots         INTEGER NOT NULL,
  capacity      INTEGER NOT NULL,
  busy          INTEGER NOT NULL,
  load          DOUBLE PRECISION NOT NULL,
  memory_bytes  BIGINT NOT NULL,
  state         TEXT NOT NULL CHECK (state IN ('alive', 'draining', 'dead')),
  state_reason  TEXT NOT NULL,
  registered_at TIMESTAMPTZ NOT NULL,
  heartbeat_at  TIMESTAMPTZ NOT NULL,
  heartbeat_due TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX workers_by_name ON workers (worker_id, id);
CREATE INDEX workers_living ON workers (id) WHERE state IN ('alive', 'draining');

-- Output of attempts. No foreign key: a chunk may come late, and one stray chunk must not sink its batch.
CREATE TABLE run_logs (
  run_id     BIGINT NOT NULL,
  first_line BIGINT NOT NULL,
  at         TIMESTAMPTZ NOT NULL,
  attempt    INTEGER NOT NULL,
  lines      INTEGER NOT NULL,
  stream     TEXT NOT NULL CHECK (stream IN ('stdout', 'stderr')),
  text       TEXT NOT NULL,
  PRIMARY KEY (run_id, attempt, first_line)
);

-- Dispatchers say here that they live, for health checks alone; whoever does forgets those that are gone since a day.
CREATE TABLE dispatchers (
  life    BIGINT PRIMARY KEY,  -- random, one per start
  seen_at TIMESTAMPTZ NOT NULL,
  due     TIMESTAMPTZ NOT NULL      -- silence until this instant means dead
) WITH (fillfactor = 50);

-- Written by health checks: only a write tells that the store can be written.
CREATE TABLE write_checks (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  checked_at TIMESTAMPTZ NOT NULL
);

-- Accounts. Of secrets there are digests only, of passwords the text of Argon2id.
CREATE TABLE users (
  id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name          TEXT COLLATE "C" NOT NULL,
  role          TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'user', 'viewer', 'worker')),
  disabled      BOOLEAN NOT NULL DEFAULT false,
  password_hash TEXT NOT NULL,
  created_at    TIMESTAMPTZ NOT NULL,
  updated_at    TIMESTAMPTZ NOT NULL,
  removed_at    TIMESTAMPTZ
);
CREATE UNIQUE INDEX users_name ON users (name) WHERE removed_at IS NULL;

-- What the links for the first account are good for.
CREATE TABLE setup_tokens (
  digest     TEXT COLLATE "C" PRIMARY KEY,
  expires_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE login_sessions (
  id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id    BIGINT NOT NULL REFERENCES users (id),
  created_at TIMESTAMPTZ NOT NULL,
  used_at    TIMESTAMPTZ NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL,
  ended_at   TIMESTAMPTZ,
  end_reason TEXT NOT NULL DEFAULT '',
  address    TEXT NOT NULL,
  agent      TEXT NOT NULL
);
CREATE INDEX login_sessions_of_user ON login_sessions (user_id, id) WHERE ended_at IS NULL;

-- One that was used stays until it would have expired: seeing it again means that somebody has a copy.
CREATE TABLE refresh_tokens (
  digest     TEXT COLLATE "C" PRIMARY KEY,
  session_id BIGINT NOT NULL REFERENCES login_sessions (id),
  expires_at TIMESTAMPTZ NOT NULL,
  used_at    TIMESTAMPTZ
);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

CREATE TABLE api_keys (
  id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id       BIGINT NOT NULL REFERENCES users (id),
  key_id        TEXT COLLATE "C" NOT NULL UNIQUE,
  name          TEXT NOT NULL,
  permissions   TEXT NOT NULL,  -- JSON array of texts
  secret_digest TEXT NOT NULL,
  created_at    TIMESTAMPTZ NOT NULL,
  expires_at    TIMESTAMPTZ NOT NULL,
  used_at       TIMESTAMPTZ,
  revoked_at    TIMESTAMPTZ
);
CREATE INDEX api_keys_of_user ON api_keys (user_id, id) WHERE revoked_at IS NULL;

-- The public halves of the keys that API processes sign access tokens with.
CREATE TABLE signing_keys (
  kid          TEXT COLLATE "C" PRIMARY KEY,
  public_key   TEXT NOT NULL,
  published_at TIMESTAMPTZ NOT NULL
);
