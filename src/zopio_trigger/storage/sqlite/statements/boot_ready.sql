-- How many runs are ready in each line; read once at start (runs_ready, only ready runs are in it).
SELECT env_no, queue, queue_key, count(*) FROM runs INDEXED BY runs_ready WHERE state = 'ready' GROUP BY env_no, queue, queue_key
