-- Every queue; read once at start, a small table.
SELECT * FROM queues
