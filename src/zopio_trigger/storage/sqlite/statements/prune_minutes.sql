-- Delete roll-ups of an environment from before a minute, oldest first (primary key).
DELETE FROM minutes
WHERE env_no = :env_no AND (minute, job, state, bucket) IN (
    SELECT minute, job, state, bucket FROM minutes
    WHERE env_no = :env_no AND minute < :before ORDER BY minute, job, state, bucket LIMIT :limit
)
