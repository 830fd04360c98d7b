-- Events of an environment the last of whose pruned runs ended before an instant (ended_events_by_end).
SELECT event_id FROM ended_events WHERE env_no = :env_no AND ended_at < :before ORDER BY ended_at LIMIT :limit
