-- Runs whose holder died with the last process (runs_executing, only executing runs are in it).
SELECT id, token FROM runs INDEXED BY runs_executing WHERE state = 'executing'
