-- Delete the tasks of runs (primary key).
DELETE FROM tasks WHERE run_id IN (SELECT value FROM json_each(?))
