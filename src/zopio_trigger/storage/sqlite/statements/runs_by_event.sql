-- Runs of an event (runs_by_event).
SELECT * FROM runs WHERE event_id = :event_id AND env_no = :env_no AND id < :before ORDER BY id DESC LIMIT :limit
