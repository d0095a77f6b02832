-- How far the log, the read models and what is built beside them are.

-- name: progress
-- In one statement, so that the figures fit each other. `behind` is the age of the first entry that the live read models
-- do not show, null if there is none; `building` counts the generations whose builder lives, and `built` is the position
-- of the newest, null without one. The live read models are those that this version shows: $1 the number of the locks
-- that builders hold, $2 version.
WITH live AS (
    SELECT coalesce((
        SELECT position FROM projection.generation WHERE version = $2 AND state IN ('beside', 'live')
    ), 0) AS position
), building AS (
    SELECT g.id, g.position
    FROM projection.generation AS g
    JOIN pg_locks AS l ON l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid::bigint = $1::bigint AND l.objid::bigint = g.id
    WHERE g.state = 'building'
)
SELECT
    h.size,
    live.position AS shown,
    (
        SELECT extract(epoch FROM clock_timestamp() - e.recorded_at)::double precision
        FROM log.entry AS e WHERE e.position = live.position
    ) AS behind,
    (SELECT count(*) FROM building) AS building,
    (SELECT position FROM building ORDER BY id DESC LIMIT 1) AS built
FROM log.head AS h
CROSS JOIN live
WHERE h.one;
