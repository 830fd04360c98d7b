-- Whether a job has a run that has not ended (runs_by_job_state; runs_executing, which holds no more than the slots).
SELECT EXISTS (
    SELECT 1 FROM runs
    WHERE env_no = :env_no AND job = :job AND state IN ('ready', 'suspended')
        AND state NOT IN ('executing', 'completed')
) OR EXISTS (
    SELECT 1 FROM runs INDEXED BY runs_executing WHERE env_no = :env_no AND state = 'executing' AND job = :job
)
