-- Runs of a job in one state, newest first (runs_by_job_state).
SELECT * FROM runs
WHERE env_no = :env_no AND job = :job AND state = :state AND id < :before ORDER BY id DESC LIMIT :limit
