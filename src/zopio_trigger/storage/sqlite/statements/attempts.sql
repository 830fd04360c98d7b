-- The unsuccessful attempts of a run (primary key).
SELECT * FROM attempts WHERE run_id = ? ORDER BY finished_at, number
