-- Note for the events of runs that are about to go when these ended (primary keys).
INSERT INTO ended_events (env_no, event_id, ended_at)
SELECT env_no, event_id, finished_at FROM runs WHERE id IN (SELECT value FROM json_each(?))
ON CONFLICT (env_no, event_id) DO UPDATE SET ended_at = max(ended_events.ended_at, excluded.ended_at)
