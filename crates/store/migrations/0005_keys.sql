-- The keys by which callers can ask again without asking twice.

CREATE TABLE idempotency_keys (
    -- The principal and the project that the key is unique within.
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    -- A digest of the whole request.
    fingerprint TEXT NOT NULL,
    -- The operation that the request began, if it began one.
    operation TEXT,
    instance TEXT,
    -- What was answered, sealed: an answer can hold a secret.
    answer TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
