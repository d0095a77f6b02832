-- What is so at the moment at which a request is looked at, whoever asks for what.

-- name: present
-- How far the read models of a version have come (nulls: there are none), the leaf of the last entry that they show, the
-- vault's mark, and those tokens that there are, a row each, or one row where there are none: $1 SHA-256s of tokens, $2
-- version.
SELECT live.id AS generation, live.position, entry.leaf, mark.mark,
    token.hash, token.id, token.name, token.roles, token.party, token.created_at, token.expires_at, token.revoked_at
FROM vault.mark AS mark
LEFT JOIN projection.generation AS live ON live.version = $2 AND live.state IN ('beside', 'live')
LEFT JOIN log.entry AS entry ON entry.position = live.position - 1
LEFT JOIN access.token AS token ON token.hash = ANY ($1::bytea[])
WHERE mark.one;
