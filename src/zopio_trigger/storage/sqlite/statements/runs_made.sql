-- The runs an event has made, its replays left out (runs_by_event).
SELECT id, job FROM runs INDEXED BY runs_by_event WHERE event_id = ? AND replay_no = 0 ORDER BY job
