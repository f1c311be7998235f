-- Devices that a flavour's instances get, a JSON list; NULL: none.
ALTER TABLE flavours ADD COLUMN devices TEXT;
