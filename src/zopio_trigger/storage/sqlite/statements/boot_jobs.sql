-- Every job; read once at start, a small table.
SELECT * FROM jobs
