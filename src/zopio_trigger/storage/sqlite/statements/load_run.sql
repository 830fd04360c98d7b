-- One run by id (primary key).
SELECT * FROM runs WHERE id = ?
