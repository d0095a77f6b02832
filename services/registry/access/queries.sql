-- name: create_token
-- Keeps a new token.
-- $1 id, $2 name, $3 SHA-256 of the token, $4 roles, $5 party or null, $6 made at, $7 expires at or null
INSERT INTO access.token (id, name, hash, roles, party, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id, name, roles, party, created_at, expires_at, revoked_at;

-- name: list_tokens
SELECT id, name, roles, party, created_at, expires_at, revoked_at
FROM access.token
ORDER BY created_at, id;

-- name: revoke_token
-- Ends a token, once: the time of the first revocation stays.
-- $1 id, $2 now
UPDATE access.token
SET revoked_at = coalesce(revoked_at, $2)
WHERE id = $1
RETURNING id, name, roles, party, created_at, expires_at, revoked_at;

-- name: find_token
-- $1 SHA-256 of the token that was presented
SELECT id, name, roles, party, created_at, expires_at, revoked_at
FROM access.token
WHERE hash = $1;
