-- Who holds the slots of a line (runs_executing).
SELECT id FROM runs WHERE env_no = ? AND queue = ? AND queue_key = ? AND state = 'executing'
