-- Runs of an environment in some states, newest first (runs_by_env).
SELECT * FROM runs INDEXED BY runs_by_env
WHERE env_no = :env_no AND id > :after AND id < :before AND created_at >= :since
    AND state IN (SELECT value FROM json_each(:states))
ORDER BY id DESC
LIMIT :limit
