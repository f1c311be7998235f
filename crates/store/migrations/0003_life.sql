-- What an instance gains in the course of its life.

-- Its snapshots, a JSON document; NULL: none.
ALTER TABLE instances ADD COLUMN snapshots TEXT;
