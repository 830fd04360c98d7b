-- When the next waiting task is due (tasks_due).
SELECT due_at FROM tasks WHERE state = 'waiting' AND due_at IS NOT NULL AND due_at > ? ORDER BY due_at LIMIT 1
