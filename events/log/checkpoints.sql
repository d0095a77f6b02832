-- Checkpoints that were signed, the keys they are verified with, and the names they were signed under. What is null although
-- nothing here can be, as somebody made it so, is read as empty: it is no root and no signature.

-- name: lock
-- Keep other signers out until the transaction ends. $1 the lock's number.
SELECT pg_advisory_xact_lock($1);

-- name: latest
-- $1 origin.
SELECT origin, size, coalesce(root, '') AS root, coalesce(signed_at, 'epoch') AS signed_at
FROM log.checkpoint WHERE origin = $1 ORDER BY size DESC LIMIT 1;

-- name: at
-- The first checkpoint that has so many entries or more. $1 origin, $2 size.
SELECT origin, size, coalesce(root, '') AS root, coalesce(signed_at, 'epoch') AS signed_at
FROM log.checkpoint WHERE origin = $1 AND size >= $2 ORDER BY size LIMIT 1;

-- name: cosigned
-- The last checkpoint that as many of some keys have cosigned as have to. $1 origin, $2 names and $3 ids of the keys, in
-- parallel, $4 how many. It cannot be beyond the last one of the $4th of them, which an index knows: while witnesses are
-- away, nothing is gone through that was signed meanwhile.
WITH witness AS (
    SELECT name, key_id FROM unnest($2::text[], $3::bytea[]) AS w (name, key_id)
), last AS (
    SELECT (
        SELECT s.size FROM log.signature AS s
        WHERE s.origin = $1 AND s.name = w.name AND s.key_id = w.key_id AND s.name <> s.origin
        ORDER BY s.size DESC LIMIT 1
    ) AS size
    FROM witness AS w
)
SELECT c.origin, c.size, coalesce(c.root, '') AS root, coalesce(c.signed_at, 'epoch') AS signed_at
FROM log.checkpoint AS c
WHERE c.origin = $1
    AND c.size <= (SELECT size FROM last WHERE size IS NOT NULL ORDER BY size DESC LIMIT 1 OFFSET $4 - 1)
    AND (
        SELECT count(*) FROM log.signature AS s
        JOIN witness AS w ON w.name = s.name AND w.key_id = s.key_id
        WHERE s.origin = c.origin AND s.size = c.size
    ) >= $4
ORDER BY c.size DESC LIMIT 1;

-- name: signatures
-- $1 origin, $2 size. The log's own come first: they were there first.
SELECT coalesce(name, '') AS name, coalesce(key_id, '') AS key_id, coalesce(blob, '') AS blob
FROM log.signature WHERE origin = $1 AND size = $2
ORDER BY log.signature.name <> $1, added_at, log.signature.name, log.signature.key_id;

-- name: add
-- $1 origin, $2 size, $3 root, $4 signed at.
INSERT INTO log.checkpoint (origin, size, root, signed_at) VALUES ($1, $2, $3, $4)
ON CONFLICT ON CONSTRAINT checkpoint_origin_size_key DO NOTHING;

-- name: sign
-- $1 origin, $2 size, $3 name, $4 key id, $5 signature, $6 now.
INSERT INTO log.signature (origin, size, name, key_id, blob, added_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT ON CONSTRAINT signature_key DO NOTHING;

-- name: verifiers
-- The newest first.
SELECT key FROM log.verifier ORDER BY number DESC;

-- name: add_verifier
-- $1 key, $2 now.
INSERT INTO log.verifier (key, added_at) VALUES ($1, $2) ON CONFLICT ON CONSTRAINT verifier_key_key DO NOTHING;

-- name: origins
-- The newest first. A time that somebody took away is told as one that nobody signed.
SELECT origin, size, replaces, last_checkpoint, reason, coalesce(adopted_at, 'epoch') AS adopted_at, statement
FROM log.origin ORDER BY number DESC;

-- name: adopt
-- $1 origin, $2 size, $3 the name before, $4 its last checkpoint or null, $5 reason, $6 now, $7 what was signed of it.
INSERT INTO log.origin (origin, size, replaces, last_checkpoint, reason, adopted_at, statement)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: size
SELECT size FROM log.head WHERE one;
