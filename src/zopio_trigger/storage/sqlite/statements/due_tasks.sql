-- Waiting tasks whose time has come, longest due first (tasks_due).
SELECT run_id, hash FROM tasks WHERE state = 'waiting' AND due_at IS NOT NULL AND due_at <= ? ORDER BY due_at LIMIT ?
