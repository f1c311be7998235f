-- How a guest came to be an instance (NULL: we made it), and what has been said
-- about its expiry, a JSON document (NULL: nothing).
ALTER TABLE instances ADD COLUMN ownership TEXT;
ALTER TABLE instances ADD COLUMN expiry TEXT;
