-- One task by its place in the run (primary key).
SELECT * FROM tasks WHERE run_id = ? AND hash = ?
