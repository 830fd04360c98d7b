-- Runs in one state, newest first (runs_by_state).
SELECT * FROM runs WHERE env_no = :env_no AND state = :state AND id < :before ORDER BY id DESC LIMIT :limit
