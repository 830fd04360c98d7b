-- Runs of a job in some states, newest first (runs_by_job).
SELECT * FROM runs
WHERE env_no = :env_no AND job = :job AND id > :after AND id < :before AND created_at >= :since
    AND state IN (SELECT value FROM json_each(:states))
ORDER BY id DESC
LIMIT :limit
