-- Every task of a run in the order of creation (primary key; a run has at most 10,000).
SELECT * FROM tasks WHERE run_id = ? ORDER BY created_at, id
