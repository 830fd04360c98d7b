-- The highest replay number of an event and a job (runs_by_event).
SELECT coalesce(max(replay_no), 0) FROM runs WHERE event_id = ? AND job = ?
