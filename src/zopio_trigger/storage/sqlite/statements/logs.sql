-- Log lines of a run after a place (primary key, in its order).
SELECT * FROM logs WHERE run_id = ? AND (token, number) > (?, ?) ORDER BY token, number LIMIT ?
