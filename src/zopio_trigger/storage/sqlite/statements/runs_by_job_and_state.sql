-- Runs of a job in one state that is neither executing nor completed, newest first (runs_by_job_state).
SELECT * FROM runs
WHERE env_no = :env_no AND job = :job AND state = :state AND state NOT IN ('executing', 'completed')
    AND id > :after AND id < :before AND created_at >= :since
ORDER BY id DESC
LIMIT :limit
