-- When the next delayed event is due (events_due).
SELECT deliver_at FROM events
WHERE delivered_at IS NULL AND cancelled_at IS NULL AND deliver_at > ? ORDER BY deliver_at LIMIT 1
