-- Whether a job has a run that has not ended (runs_by_job_state).
SELECT EXISTS (SELECT 1 FROM runs WHERE env_no = ? AND job = ? AND state IN ('ready', 'executing', 'suspended'))
