-- Runs of an event in some states, all or those of a job, newest first (runs_by_event; sorts the runs of the one event).
SELECT * FROM runs INDEXED BY runs_by_event
WHERE event_id = :event_id AND env_no = :env_no AND (:job IS NULL OR job = :job)
    AND id > :after AND id < :before AND created_at >= :since
    AND state IN (SELECT value FROM json_each(:states))
ORDER BY id DESC
LIMIT :limit
