-- The core of the house. Ids are UUIDs as text, times are milliseconds since
-- 1970 in UTC, structured values are JSON as text, truth values are 0 and 1.

CREATE TABLE installation (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    -- The key that the secrets of this data base are sealed with.
    key_id TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- The change sequence and the numbers of epochs.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

-- The latest change of everything that a read model shows. Rows of things that
-- are gone stay until they are compacted.
CREATE TABLE feed (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE UNIQUE INDEX feed_by_sequence ON feed (sequence);

-- Workflows ------------------------------------------------------------------

CREATE TABLE epochs (
    id BIGINT PRIMARY KEY,
    begun_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE workflows (
    id TEXT PRIMARY KEY,
    -- name@version
    kind TEXT NOT NULL,
    input TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    ended_at BIGINT,
    -- runnable, waiting, held (a child whose turn has not come), queued (for a
    -- claim), stuck, ended
    status TEXT NOT NULL,
    -- When it is due; NULL when only somebody's doing makes it due.
    wake_at BIGINT,
    -- The epoch of the executor that has it.
    owner BIGINT,
    -- The number of the last line in its journal.
    sequence BIGINT NOT NULL,
    cancellable BIGINT NOT NULL,
    cancel_requested BIGINT NOT NULL,
    claim TEXT,
    supersedes BIGINT NOT NULL,
    -- How it ended, or why it is stuck.
    outcome TEXT,
    -- What it waits for, since when, and what ended the wait.
    wait TEXT,
    wait_group TEXT,
    wait_since BIGINT,
    wait_result TEXT,
    -- The limit that had no room for it, and since when it waits for that.
    limit_key TEXT,
    limit_since BIGINT,
    -- As a child: of whom, in which of its groups, and where in that.
    parent TEXT,
    child_group BIGINT,
    position BIGINT,
    -- As a parent: its present group of children.
    spawn_group BIGINT,
    spawn_at_most BIGINT,
    spawn_policy TEXT
);
CREATE INDEX workflows_due ON workflows (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX workflows_children ON workflows (parent, child_group, position) WHERE parent IS NOT NULL;
CREATE INDEX workflows_handles ON workflows (wait_group) WHERE wait_group IS NOT NULL;
CREATE INDEX workflows_limited ON workflows (limit_key, limit_since) WHERE limit_key IS NOT NULL;
CREATE INDEX workflows_ended ON workflows (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE journal (
    workflow TEXT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    at BIGINT NOT NULL,
    entry TEXT NOT NULL,
    PRIMARY KEY (workflow, sequence)
);

-- At most one workflow changes a resource; at most one waits to take it over.
CREATE TABLE claims (
    resource TEXT PRIMARY KEY,
    workflow TEXT NOT NULL,
    next_workflow TEXT
);

CREATE TABLE limits_held (
    key TEXT NOT NULL,
    workflow TEXT NOT NULL,
    PRIMARY KEY (key, workflow)
);
CREATE INDEX limits_held_by_workflow ON limits_held (workflow);

CREATE TABLE operations (
    -- That of the root workflow.
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    instance TEXT NOT NULL,
    instance_name TEXT NOT NULL,
    project TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    left_behind TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX operations_by_instance ON operations (instance, id);

-- Instances and what belongs to them -----------------------------------------

CREATE TABLE instances (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    managed_by TEXT NOT NULL,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    generation BIGINT NOT NULL,
    phase TEXT NOT NULL,
    attempt TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    native TEXT NOT NULL,
    observed TEXT,
    fault TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX instances_by_project ON instances (project, id);
CREATE INDEX instances_by_name ON instances (name);

-- The names that dialects give. Kept as tombstones.
CREATE TABLE aliases (
    door TEXT NOT NULL,
    scope TEXT NOT NULL,
    external_id TEXT NOT NULL,
    instance TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    removed_at BIGINT,
    PRIMARY KEY (door, scope, external_id)
);
CREATE INDEX aliases_by_instance ON aliases (instance);

-- A door's own data about an instance.
CREATE TABLE annotations (
    owner TEXT NOT NULL,
    door TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    sealed BIGINT NOT NULL,
    PRIMARY KEY (owner, door, key)
);

CREATE TABLE secrets (
    id TEXT PRIMARY KEY,
    owner TEXT,
    envelope TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX secrets_by_owner ON secrets (owner) WHERE owner IS NOT NULL;

CREATE TABLE seeds (
    instance TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    token TEXT NOT NULL,
    documents TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Ids that effects name (a vmid). A retired one is not given again before
-- free_at.
CREATE TABLE reserved_ids (
    pool TEXT NOT NULL,
    value BIGINT NOT NULL,
    owner TEXT NOT NULL,
    attempt TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    mark TEXT NOT NULL,
    retire_for BIGINT NOT NULL,
    free_at BIGINT,
    PRIMARY KEY (pool, value)
);
CREATE INDEX reserved_ids_by_owner ON reserved_ids (owner, attempt, ordinal);

CREATE TABLE id_pools (
    pool TEXT PRIMARY KEY,
    last BIGINT NOT NULL
);

-- What instances are made from, and who may ask -------------------------------

CREATE TABLE images (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    provider TEXT NOT NULL,
    size BIGINT,
    presence TEXT NOT NULL,
    native TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    UNIQUE (provider, name)
);

CREATE TABLE flavours (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    cores BIGINT NOT NULL,
    memory BIGINT NOT NULL,
    disk BIGINT
);

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    project TEXT NOT NULL,
    role TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

CREATE TABLE events (
    sequence BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    instance TEXT,
    text TEXT NOT NULL
);
CREATE INDEX events_by_instance ON events (instance, sequence) WHERE instance IS NOT NULL;
