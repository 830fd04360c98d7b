-- Every environment, a small table.
SELECT * FROM environments ORDER BY no
