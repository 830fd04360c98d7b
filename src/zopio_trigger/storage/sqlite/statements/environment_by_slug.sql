-- An environment by its slug (unique index).
SELECT * FROM environments WHERE slug = ?
