-- An event by our id (primary key).
SELECT * FROM events WHERE env_no = ? AND id = ?
