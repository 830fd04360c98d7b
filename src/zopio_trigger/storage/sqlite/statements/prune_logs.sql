-- Delete the log lines of runs (primary key).
DELETE FROM logs WHERE run_id IN (SELECT value FROM json_each(?))
