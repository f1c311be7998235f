-- What one process at a time does for all, such as observing a provider.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    -- The process, by a name that it made up when it opened the store.
    holder TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
