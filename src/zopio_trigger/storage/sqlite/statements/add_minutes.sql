-- Add to the roll-ups (primary key).
INSERT INTO minutes (env_no, job, minute, state, bucket, runs)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?) WHERE true
ON CONFLICT (env_no, minute, job, state, bucket) DO UPDATE SET runs = minutes.runs + excluded.runs
