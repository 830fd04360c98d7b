-- Delayed events whose time has come (events_due).
SELECT env_no, id FROM events
WHERE delivered_at IS NULL AND cancelled_at IS NULL AND deliver_at <= ? ORDER BY deliver_at LIMIT ?
