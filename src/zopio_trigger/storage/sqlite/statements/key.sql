-- An API key by its digest (primary key).
SELECT * FROM api_keys WHERE digest = ?
