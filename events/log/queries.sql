-- What the log asks of PostgreSQL. Entries are read by index, in pages, each its own short statement: a long
-- snapshot would keep every version of the head's row.

-- name: append
-- One batch; see log.append_batch in migrations/0013_append_at_once.sql.
SELECT appended, size, frontier, last_recorded_at, found_streams, found_revisions, known_commands,
    taken_scopes, taken_values, taken_keys, overtaken
FROM log.append_batch(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24
);

-- name: durability
SELECT current_setting('synchronous_commit');

-- name: barrier
-- Write a record that means nothing, and commit: it is answered when everything before it is at the standbys, too.
SELECT pg_logical_emit_message(true, 'registry', '');

-- name: head
SELECT size, frontier, last_recorded_at FROM log.head WHERE one;

-- name: lock_head
-- To keep other writers out for the length of a transaction.
SELECT size, frontier, last_recorded_at FROM log.head WHERE one FOR UPDATE;

-- name: commands
-- Everything recorded by some commands, in order. $1: command ids.
SELECT command_id, position, stream, revision, id, type, recorded_at, bytes
FROM log.entry WHERE command_id = ANY ($1::uuid[])
ORDER BY position;

-- name: stream
-- $1: stream, $2: first revision.
SELECT position, stream, revision, id, type, recorded_at, bytes
FROM log.entry WHERE stream = $1 AND revision >= $2
ORDER BY revision;

-- name: streams_after
-- What several streams have beyond revisions. $1: streams, $2: the revision of each that is known (-1: none).
SELECT e.position, e.stream, e.revision, e.id, e.type, e.recorded_at, e.bytes
FROM unnest($1::text[], $2::integer[]) AS known (stream, revision)
JOIN log.entry AS e ON e.stream = known.stream AND e.revision > known.revision
ORDER BY e.position;

-- name: page
-- $1: first position, $2: how many at most.
SELECT position, stream, revision, id, type, recorded_at, bytes
FROM log.entry WHERE position >= $1 AND position < $1 + $2::bigint
ORDER BY position;

-- name: page_of_bytes
-- What is decoded, or sent as it is, needs no other columns. $1: first position, $2: how many at most.
SELECT bytes, position FROM log.entry WHERE position >= $1 AND position < $1 + $2::bigint
ORDER BY position;

-- name: page_with_leaves
-- To hold what is read against its hash. $1: first position, $2: how many at most.
SELECT position, stream, revision, id, type, recorded_at, bytes, leaf
FROM log.entry WHERE position >= $1 AND position < $1 + $2::bigint
ORDER BY position;

-- name: page_of_types
-- $1: first position, $2: how many at most, $3: types, $4: the position to stop before.
SELECT position, stream, revision, id, type, recorded_at, bytes
FROM log.entry
WHERE position >= $1 AND position < $4 AND type = ANY ($3::text[])
ORDER BY position LIMIT $2::bigint;

-- name: page_of_streams
-- By the streams' own index. $1: first position, $2: how many at most, $3: streams, $4: types or null for all,
-- $5: the position to stop before.
SELECT position, stream, revision, id, type, recorded_at, bytes
FROM log.entry
WHERE stream = ANY ($3::text[]) AND position >= $1 AND position < $5
    AND ($4::text[] IS NULL OR type = ANY ($4))
ORDER BY position LIMIT $2::bigint;

-- name: page_of_stream
-- $1: stream, $2: first revision, $3: how many at most, $4: the position to stop before.
SELECT position, stream, revision, id, type, recorded_at, bytes, leaf
FROM log.entry
WHERE stream = $1 AND revision >= $2 AND revision < $2::bigint + $3::bigint AND position < $4
ORDER BY revision;

-- name: counted
-- How many entries there are in a range, by the primary key alone. $1: first position, $2: the position to stop before.
SELECT count(*) FROM log.entry WHERE position >= $1 AND position < $2;

-- name: gap
-- The first position of a range that has no entry. $1: first position, $2: the position to stop before.
SELECT n FROM generate_series($1::bigint, $2::bigint - 1) AS n
WHERE NOT EXISTS (SELECT FROM log.entry WHERE position = n)
ORDER BY n LIMIT 1;

-- name: broken
-- A stream that has no entry of a revision. $1: streams, $2: a revision of each.
SELECT known.stream, known.revision
FROM unnest($1::text[], $2::integer[]) AS known (stream, revision)
WHERE NOT EXISTS (SELECT FROM log.entry AS e WHERE e.stream = known.stream AND e.revision = known.revision)
LIMIT 1;

-- name: mentions
-- Which entries have a text in their bytes, by looking into each. $1: the text, $2: first position, $3: the position to
-- stop before, $4: types or null for all.
SELECT position, stream FROM log.entry
WHERE position >= $2 AND position < $3 AND ($4::text[] IS NULL OR type = ANY ($4))
    AND position(convert_to($1, 'UTF8') IN bytes) > 0
ORDER BY position;

-- name: claimed
-- Whether a value was ever claimed. $1: scope, $2: value.
SELECT EXISTS (SELECT FROM log.claim WHERE scope = $1 AND value = $2);

-- name: size_at
-- Binary search: recorded_at never falls from one position to the next. $1: the instant. Ends with low and high the
-- same, unless the entry half way between is missing.
WITH RECURSIVE search (low, high) AS (
    SELECT 0::bigint, size FROM log.head WHERE one
    UNION ALL
    SELECT CASE WHEN e.recorded_at <= $1 THEN e.position + 1 ELSE s.low END,
        CASE WHEN e.recorded_at <= $1 THEN s.high ELSE e.position END
    FROM search AS s JOIN log.entry AS e ON e.position = s.low + (s.high - s.low) / 2
    WHERE s.low < s.high
)
SELECT low, high FROM search ORDER BY high - low LIMIT 1;

-- name: stream_revision
-- The last revision of a stream below a size, by binary search: positions rise with revisions.
-- $1: stream, $2: size. One less than low, which is the number of its entries below the size, as in size_at.
WITH RECURSIVE search (low, high) AS (
    SELECT 0, coalesce(
        (SELECT e.revision + 1 FROM log.entry AS e WHERE e.stream = $1 ORDER BY e.revision DESC LIMIT 1), 0
    )
    UNION ALL
    SELECT CASE WHEN e.position < $2 THEN e.revision + 1 ELSE s.low END,
        CASE WHEN e.position < $2 THEN s.high ELSE e.revision END
    FROM search AS s JOIN log.entry AS e ON e.stream = $1 AND e.revision = s.low + (s.high - s.low) / 2
    WHERE s.low < s.high
)
SELECT low, high FROM search ORDER BY high - low LIMIT 1;
