-- Who is told of events, and how far each has been.

CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    -- NULL: of all projects.
    project TEXT,
    url TEXT NOT NULL,
    -- The sealed secret that its messages are signed with.
    secret TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- The last event that it has taken.
    cursor BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    failing_since BIGINT,
    next_at BIGINT,
    last_error TEXT,
    dead_at BIGINT
);
