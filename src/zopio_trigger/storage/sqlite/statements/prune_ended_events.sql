-- Forget when the pruned runs of some events ended (primary key).
DELETE FROM ended_events WHERE env_no = :env_no AND event_id IN (SELECT value FROM json_each(:ids))
