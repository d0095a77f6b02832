-- What `registry verify` reads of the database, as the service's role. Pages are short statements of their own. Where a
-- column cannot be null it is asked for as if it could: whoever alters rows may take constraints away, too.

-- name: head
-- The head, and the first and the last position that there are, as of one moment; whether this is a standby.
SELECT h.size, coalesce(h.frontier, '{}') AS frontier, h.last_recorded_at::text AS last_recorded_at,
    (SELECT min(position) FROM log.entry) AS first, (SELECT max(position) FROM log.entry) AS last,
    (SELECT count(*) FROM log.head) AS heads, pg_is_in_recovery() AS standby
FROM (VALUES (true)) AS always (one)
LEFT JOIN log.head AS h ON h.one;

-- name: entries
-- Entries with their columns as entries write them. $1 first position, $2 the position to stop before.
SELECT position, stream, revision, id::text AS id, type, classification,
    to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS recorded_at,
    command_id::text AS command_id, leaf, bytes, coalesce(ordinal, -1) AS ordinal
FROM log.entry WHERE position >= $1 AND position < $2
ORDER BY position;

-- name: last_of
-- $1 position.
SELECT position, command_id::text AS command_id, coalesce(ordinal, -1) AS ordinal, recorded_at::text AS recorded_at
FROM log.entry WHERE position = $1;

-- name: tiles
-- Full tiles of level 0. $1 first index, $2 the index to stop before.
SELECT index, coalesce(root, '') AS root, coalesce(hashes, '') AS hashes FROM log.tile
WHERE level = 0 AND index >= $1 AND index < $2;

-- name: upper_tiles
-- Full tiles above level 0, in pages: behind a place ($1 level, $2 index), $3 at most.
SELECT level, index, coalesce(root, '') AS root, coalesce(hashes, '') AS hashes FROM log.tile
WHERE level > 0 AND (level, index) > ($1::smallint, $2::bigint)
ORDER BY level, index LIMIT $3;

-- name: tiles_beyond
-- Tiles that a log of the size $1 has not.
SELECT level, index FROM log.tile
WHERE level < 0 OR index < 0 OR (index::numeric + 1) * power(256::numeric, level + 1) > $1::bigint
ORDER BY level, index LIMIT 100;

-- name: stray_heads
-- Checkpoints over no size that there can be, and signatures of no checkpoint that is stored.
(SELECT size, 'a checkpoint is stored over so many entries' AS found FROM log.checkpoint WHERE size < 0 ORDER BY size LIMIT 100)
UNION ALL
(SELECT s.size, 'a signature is stored of a checkpoint that is not' FROM log.signature AS s
WHERE NOT EXISTS (SELECT FROM log.checkpoint AS c WHERE c.origin = s.origin AND c.size = s.size)
ORDER BY s.size LIMIT 100);

-- name: integrated
-- How many full tiles of level 0 have to be stored, of a log of the size $1: as many as the last checkpoint is over, as
-- tiles are stored before it is signed, and as there are up to the last one stored.
SELECT greatest(
    (SELECT max(c.size) / 256 FROM log.checkpoint AS c WHERE c.size <= $1),
    (SELECT max((t.index::numeric + 1) * power(256::numeric, t.level)) FROM log.tile AS t
        WHERE (t.index::numeric + 1) * power(256::numeric, t.level + 1) <= $1),
    0
)::bigint;

-- name: tiles_missing
-- Full tiles of a level that have to be stored and are not. $1 level, $2 how many there have to be.
SELECT expected.index FROM generate_series(0, $2::bigint - 1) AS expected (index)
WHERE NOT EXISTS (SELECT FROM log.tile AS t WHERE t.level = $1::smallint AND t.index = expected.index)
ORDER BY expected.index LIMIT 100;

-- name: heads
-- Checkpoints and what signed them. $1 the size to begin behind, $2 the last size.
SELECT c.origin, c.size, coalesce(c.root, '') AS root, array_agg(s.name ORDER BY s.name, s.key_id) AS names,
    array_agg(s.key_id ORDER BY s.name, s.key_id) AS key_ids, array_agg(coalesce(s.blob, '') ORDER BY s.name, s.key_id) AS blobs
FROM log.checkpoint AS c LEFT JOIN log.signature AS s ON s.origin = c.origin AND s.size = c.size
WHERE c.size > $1 AND c.size <= $2
GROUP BY c.origin, c.size, c.root
ORDER BY c.size, c.origin;

-- name: keys
-- The newest first.
SELECT key FROM log.verifier ORDER BY number DESC;

-- name: claims
-- In the order of the positions that they rest on.
SELECT scope, value, position FROM log.claim ORDER BY position;

-- name: claiming
-- The entries of commands that may claim something, and where each command begins. $1 first positions, $2 types.
SELECT b.position AS begins, CASE WHEN e.type = ANY ($2::text[]) THEN e.bytes END AS bytes
FROM log.entry AS b JOIN log.entry AS e ON e.command_id = b.command_id
WHERE b.position = ANY ($1::bigint[]) AND b.ordinal = 0 AND (e.position = b.position OR e.type = ANY ($2::text[]));

-- name: missing_claims
-- Of what entries claim, in parallel ($1 scopes, $2 values, $3 positions), what nobody has claimed by then.
SELECT said.scope, said.position FROM unnest($1::text[], $2::text[], $3::bigint[]) AS said (scope, value, position)
WHERE NOT EXISTS (
    SELECT FROM log.claim AS c
    WHERE c.scope = said.scope AND c.value = said.value AND c.position <= said.position
)
ORDER BY said.position;

-- name: owners
-- Who has a key, in pages behind an owner ($1), $2 at most.
SELECT owner FROM vault.key WHERE owner > $1 ORDER BY owner LIMIT $2;

-- name: documents
-- What has a key, in pages behind an owner ($1), $2 at most: owner, and what is stated of the document.
SELECT k.owner, d.media_type, d.size, d.characters
FROM vault.key AS k
LEFT JOIN log.document AS d
    ON d.sha256 = CASE WHEN k.owner ~ '^document/[0-9a-f]{64}$' THEN decode(substr(k.owner, 10), 'hex') END
WHERE k.owner > $1 AND k.owner COLLATE "C" LIKE 'document/%'
ORDER BY k.owner LIMIT $2;
