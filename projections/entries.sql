-- What the projection reads of the log.

-- name: size
-- How many entries there are.
SELECT size FROM log.head WHERE one;

-- name: page
-- Entries in order: $1 first position, $2 the position to stop before.
SELECT bytes FROM log.entry WHERE position >= $1 AND position < $2 ORDER BY position;

-- name: share
-- The same, of a share of the streams only: $3 how many shares there are, $4 which one, from 0.
SELECT bytes FROM log.entry
WHERE position >= $1 AND position < $2 AND (hashtextextended(stream, 0) & 9223372036854775807) % $3::integer = $4::integer
ORDER BY position;

-- name: streams
-- Everything in some streams below a position, each stream in order: $1 streams, $2 the position.
SELECT bytes FROM log.entry WHERE stream = ANY ($1::text[]) AND position < $2 ORDER BY stream, revision;
