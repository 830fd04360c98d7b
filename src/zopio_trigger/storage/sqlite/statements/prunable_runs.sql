-- Runs after a place that were made before an instant, as their ids say, and ended before it (primary key).
SELECT id FROM runs WHERE id > :after AND id < :made_before AND finished_at < :ended_before ORDER BY id LIMIT :limit
