-- Every task of a run that did not complete (primary key).
SELECT * FROM tasks WHERE run_id = ? AND state <> 'completed'
