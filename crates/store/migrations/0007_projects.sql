-- What a project may use, and what each instance uses of it.

CREATE TABLE projects (
    name TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    -- The most that its instances may have together; NULL: no limit.
    instances BIGINT,
    cores BIGINT,
    memory BIGINT,
    disk BIGINT,
    created_at BIGINT NOT NULL
);

-- NULL in rows that were last written before.
ALTER TABLE instances ADD COLUMN cores BIGINT;
ALTER TABLE instances ADD COLUMN memory BIGINT;
ALTER TABLE instances ADD COLUMN disk BIGINT;
