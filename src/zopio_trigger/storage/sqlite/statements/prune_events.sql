-- Delete the oldest events that were settled before an instant and have no run left (events_settled, runs_by_event).
DELETE FROM events WHERE (env_no, id) IN (
    SELECT env_no, id FROM events
    WHERE coalesce(delivered_at, cancelled_at) < ?
        AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.event_id = events.id)
    ORDER BY coalesce(delivered_at, cancelled_at)
    LIMIT ?
)
