-- The next runs of a line for these jobs (runs_ready, in its order).
SELECT id FROM runs
WHERE env_no = ? AND queue = ? AND queue_key = ? AND state = 'ready' AND job IN (SELECT value FROM json_each(?))
ORDER BY priority DESC, started_at IS NULL, ready_at, id
LIMIT ?
