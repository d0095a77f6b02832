-- What the projection reads of the log.

-- name: size
-- How many entries there are.
SELECT size FROM log.head WHERE one;

-- name: page
-- Entries in order: $1 first position, $2 the position to stop before.
SELECT bytes FROM log.entry WHERE position >= $1 AND position < $2 ORDER BY position;

-- name: streams
-- Everything in some streams below a position, each stream in order: $1 streams, $2 the position.
SELECT bytes FROM log.entry WHERE stream = ANY ($1::text[]) AND position < $2 ORDER BY stream, revision;
