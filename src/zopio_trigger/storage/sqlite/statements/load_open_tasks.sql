-- The tasks of a run that have not ended (primary key).
SELECT * FROM tasks WHERE run_id = ? AND state IN ('running', 'waiting')
