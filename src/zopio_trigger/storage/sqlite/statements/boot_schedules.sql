-- Every schedule; read once at start, a small table.
SELECT * FROM schedules
