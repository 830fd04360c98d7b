-- Events of an environment, newest first (primary key).
SELECT * FROM events WHERE env_no = ? AND id < ? ORDER BY id DESC LIMIT ?
