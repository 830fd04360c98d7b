-- An event by its sender's id (events_by_user_id).
SELECT * FROM events WHERE env_no = ? AND user_id = ?
