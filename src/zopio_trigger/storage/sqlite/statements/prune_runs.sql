-- Delete runs by id (primary key).
DELETE FROM runs WHERE id IN (SELECT value FROM json_each(?))
