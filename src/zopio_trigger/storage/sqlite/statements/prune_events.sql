-- Delete those of some events that have no run (primary key, runs_by_event).
DELETE FROM events
WHERE env_no = :env_no AND id IN (SELECT value FROM json_each(:ids))
    AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.event_id = events.id)
