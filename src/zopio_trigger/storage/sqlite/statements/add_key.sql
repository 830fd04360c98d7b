-- An API key; adding it again changes nothing.
INSERT INTO api_keys (digest, env_no, hint, created_at, revoked_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING
