-- The Merkle tree of the log as it is stored: full tiles, and leaves beside the entries. Nothing of it is null; what somebody
-- made so all the same is as if it were not there.

-- name: tiled
-- How many full tiles of level 0 there are.
SELECT coalesce(max(index) + 1, 0) FROM log.tile WHERE level = 0;

-- name: full
-- Full tiles, those that are stored. $1 levels, $2 indexes, in parallel.
SELECT t.level, t.index, t.hashes, t.root
FROM unnest($1::smallint[], $2::bigint[]) AS asked (level, index)
JOIN log.tile AS t ON t.level = asked.level AND t.index = asked.index
WHERE t.hashes IS NOT NULL AND t.root IS NOT NULL;

-- name: roots
-- What full tiles of one level are in the level above, in order. $1 level, $2 first index, $3 the index to stop before.
SELECT index, root FROM log.tile WHERE level = $1 AND index >= $2 AND index < $3 AND root IS NOT NULL ORDER BY index;

-- name: leaves
-- $1 first position, $2 the position to stop before.
SELECT position, leaf FROM log.entry WHERE position >= $1 AND position < $2 AND leaf IS NOT NULL ORDER BY position;

-- name: entries
-- $1 first position, $2 the position to stop before.
SELECT position, bytes FROM log.entry WHERE position >= $1 AND position < $2 ORDER BY position;

-- name: add_tiles
-- Full tiles, in parallel arrays; another process may have added them. $1 levels, $2 indexes, $3 roots, $4 hashes.
INSERT INTO log.tile (level, index, root, hashes)
SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[], $4::bytea[])
ON CONFLICT ON CONSTRAINT tile_key DO NOTHING;
