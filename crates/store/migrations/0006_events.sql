-- What happens to instances and operations, for whoever follows it; and who
-- asked for what.

ALTER TABLE events ADD COLUMN kind TEXT;
ALTER TABLE events ADD COLUMN project TEXT;
ALTER TABLE events ADD COLUMN operation TEXT;
-- A JSON object.
ALTER TABLE events ADD COLUMN data TEXT;

CREATE TABLE audit (
    -- Its place in the order of all changes.
    sequence BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    principal TEXT NOT NULL,
    principal_name TEXT NOT NULL,
    role TEXT NOT NULL,
    project TEXT NOT NULL,
    door TEXT NOT NULL,
    request_id TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    operation TEXT,
    -- accepted, or the code of the error.
    outcome TEXT NOT NULL,
    detail TEXT
);
CREATE INDEX audit_by_project ON audit (project, sequence);
