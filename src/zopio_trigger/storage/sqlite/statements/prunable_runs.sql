-- Runs that ended before an instant, oldest first (runs_finished).
SELECT id FROM runs WHERE finished_at IS NOT NULL AND finished_at < ? ORDER BY finished_at LIMIT ?
