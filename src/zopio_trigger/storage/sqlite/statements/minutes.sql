-- Roll-ups of a span of time (primary key).
SELECT * FROM minutes WHERE env_no = ? AND minute >= ? AND minute < ?
