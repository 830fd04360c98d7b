-- Runs that execute now, all or those of a job, newest first (runs_executing; sorts what the slots hold).
SELECT * FROM runs INDEXED BY runs_executing
WHERE env_no = :env_no AND state = 'executing' AND (:job IS NULL OR job = :job)
    AND id > :after AND id < :before AND created_at >= :since
ORDER BY id DESC
LIMIT :limit
