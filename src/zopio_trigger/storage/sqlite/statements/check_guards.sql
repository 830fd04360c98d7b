-- How many guarded runs are as they were seen (primary key).
SELECT count(*) FROM json_each(?) AS guard
CROSS JOIN runs ON runs.id = guard.value ->> 0 AND runs.revision = guard.value ->> 1
