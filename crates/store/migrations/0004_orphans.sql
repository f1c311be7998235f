-- Guests that carry our mark and that no row claims, as an observer found them.
CREATE TABLE orphans (
    provider TEXT NOT NULL,
    -- The provider's key of the guest.
    guest TEXT NOT NULL,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    mark TEXT NOT NULL,
    native TEXT NOT NULL,
    found_at BIGINT NOT NULL,
    PRIMARY KEY (provider, guest)
);
