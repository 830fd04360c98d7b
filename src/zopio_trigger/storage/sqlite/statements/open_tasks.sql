-- The tasks of some runs that have not ended (primary key).
SELECT tasks.* FROM json_each(?) AS asked
CROSS JOIN tasks ON tasks.run_id = asked.value WHERE tasks.state IN ('running', 'waiting')
