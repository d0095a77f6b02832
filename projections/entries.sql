-- What the projection reads of the log.

-- name: size
-- How many entries there are.
SELECT size FROM log.head WHERE one;

-- name: page
-- Entries in order: $1 first position, $2 the position to stop before.
SELECT bytes FROM log.entry WHERE position >= $1 AND position < $2 ORDER BY position;

-- name: ranges
-- The streams parted by name into ranges of about as many entries each, $1: the first and the last of each.
SELECT min(stream) AS first, max(stream) AS last
FROM (
    SELECT stream, (sum(count(*)) OVER (ORDER BY stream))::bigint / $1::bigint AS part FROM log.entry GROUP BY stream
) AS parted
GROUP BY part
ORDER BY part;

-- name: range
-- Everything below a position in a range of streams, each stream in order: $1 the stream to begin with and $2 the first
-- revision wanted of it, $3 the last stream, $4 the position, $5 how many at the most.
SELECT position, stream, bytes FROM log.entry
WHERE (stream, revision) >= ($1::text, $2::integer) AND stream <= $3::text AND position < $4
ORDER BY stream, revision
LIMIT $5;

-- name: streams
-- Everything in some streams below a position, each stream in order: $1 streams, $2 the position.
SELECT bytes FROM log.entry WHERE stream = ANY ($1::text[]) AND position < $2 ORDER BY stream, revision;
