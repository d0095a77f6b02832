-- Entries of another log, put behind those of this one; for roles that may add to the log.

-- name: lock_head
-- Keep writers out until the transaction ends.
SELECT size, frontier, last_recorded_at FROM log.head WHERE one FOR UPDATE;

-- name: last
-- What the entry before says of its command: $1 position.
SELECT command_id, ordinal, bytes FROM log.entry WHERE position = $1;

-- name: revisions
-- The last revision of each of some streams, -1 for none: $1 streams.
SELECT asked.stream, coalesce(latest.revision, -1) AS revision
FROM unnest($1::text[]) AS asked (stream)
LEFT JOIN LATERAL (
    SELECT e.revision FROM log.entry AS e WHERE e.stream = asked.stream ORDER BY e.revision DESC LIMIT 1
) AS latest ON true;

-- name: claim
-- Keep what is claimed for the first time: $1 scopes, $2 values, $3 the first positions of the commands that claim.
INSERT INTO log.claim (scope, value, position)
SELECT DISTINCT ON (asked.scope, asked.value) asked.scope, asked.value, asked.position
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS asked (scope, value, position)
ORDER BY asked.scope, asked.value, asked.position
ON CONFLICT ON CONSTRAINT claim_scope_value_key DO NOTHING;

-- name: move_head
-- $1 size, $2 frontier, $3 when the last entry was recorded.
UPDATE log.head SET size = $1, frontier = $2, last_recorded_at = $3 WHERE one;

-- name: notify
SELECT pg_notify('registry_log', '');
