-- What lists show of some events (primary key).
SELECT id, user_id, name FROM events WHERE env_no = ? AND id IN (SELECT value FROM json_each(?))
