-- An environment, unless its slug is taken.
INSERT INTO environments (slug, kind, created_at) VALUES (?, ?, ?) ON CONFLICT (slug) DO NOTHING
