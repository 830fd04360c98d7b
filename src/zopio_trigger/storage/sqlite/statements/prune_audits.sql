-- Delete audits of an environment from before an instant, oldest first (audits_by_env).
DELETE FROM audits WHERE id IN (
    SELECT id FROM audits WHERE env_no = :env_no AND at < :before ORDER BY at LIMIT :limit
)
