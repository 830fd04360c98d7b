-- Runs in one state that is neither executing nor completed, newest first (runs_by_state).
SELECT * FROM runs
WHERE env_no = :env_no AND state = :state AND state NOT IN ('executing', 'completed')
    AND id > :after AND id < :before AND created_at >= :since
ORDER BY id DESC
LIMIT :limit
