-- Events after a place that were made and settled before an instant and never had a run (primary key; runs_by_event).
SELECT id FROM events
WHERE env_no = :env_no AND id > :after AND id < :made_before AND coalesce(delivered_at, cancelled_at) < :before
    AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.event_id = events.id)
    AND NOT EXISTS (
        SELECT 1 FROM ended_events AS ended WHERE ended.env_no = events.env_no AND ended.event_id = events.id
    )
ORDER BY id
LIMIT :limit
