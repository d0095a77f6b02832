-- calendar: the visits and rounds that are or once were in the calendar, as of a log size. Queries over the read models' rows.
--
-- In the calendar is what has days: those on which it was held, or else its window, where neither end is open. What was in
-- it and is no more (it was retracted, has no days any more, or does not match any more) is shown as it last was, and said not
-- to stand: who subscribed to it has to be told that it will not take place. `changes` are the positions of all that
-- changed it, or ended its cooperation (or took that back) while it was scheduled: it only ever grows.

-- name: of
-- The ones of a read model, by id; the other's branch is gone once the planner knows which:
--   $1 size, $2 id after which to go on, $3 how many at the most
--   $4 cooperation, or null for any
--   $5 party (or a party merged with it), or null for any
--   $6 country, or null for any
--   $7 read model: visits or rounds
WITH kept AS NOT MATERIALIZED (
    SELECT id, born, died, sort, refs, body, cooperation, parties, country, status,
        earliest, latest, held_earliest, held_latest
    FROM read.visits WHERE $7::text = 'visits'
    UNION ALL
    SELECT id, born, died, sort, refs, body, cooperation, parties, country, status,
        earliest, latest, held_earliest, held_latest
    FROM read.rounds WHERE $7 = 'rounds'
), shown (id, born) AS (
    SELECT id, max(born) FROM kept
    WHERE born < $1 AND id > $2::text
      AND CASE WHEN held_earliest IS NOT NULL AND held_latest IS NOT NULL THEN held_earliest
          WHEN latest IS NOT NULL THEN earliest END <= DATE '9999-12-30'
      AND ($4::text IS NULL OR cooperation = $4)
      AND ($5::text[] IS NULL OR parties && $5)
      AND ($6::text IS NULL OR country = $6)
    GROUP BY id ORDER BY id LIMIT $3
), listed AS (
    SELECT last.id, sort, refs, body, cooperation, died IS NULL OR died >= $1 AS stands, status
    FROM shown JOIN kept AS last ON last.id = shown.id AND last.born = shown.born
), staged (id, born, ended, had_ended) AS (
    SELECT id, born, stage IN ('concluded', 'abandoned'),
        coalesce(lag(stage IN ('concluded', 'abandoned')) OVER (PARTITION BY id ORDER BY born), false)
    FROM read.cooperations WHERE born < $1 AND id IN (SELECT cooperation FROM listed)
), latest (id, ended) AS (
    SELECT DISTINCT ON (id) id, ended FROM staged ORDER BY id, born DESC
), version (id, born, died, status) AS (
    SELECT kept.id, kept.born, kept.died, kept.status
    FROM listed JOIN kept ON kept.id = listed.id WHERE kept.born < $1
), change (id, position) AS (
    SELECT id, born FROM version
    UNION
    SELECT id, died FROM version WHERE died < $1
    UNION
    SELECT listed.id, staged.born FROM listed
    JOIN staged ON staged.id = listed.cooperation AND staged.ended <> staged.had_ended
    JOIN version ON version.id = listed.id AND version.status = 'scheduled'
        AND version.born < staged.born AND (version.died IS NULL OR version.died > staged.born)
), counted (id, changes, position) AS (
    SELECT id, count(*), max(position) FROM change GROUP BY id
)
SELECT listed.id, listed.sort, listed.refs, listed.body, listed.stands, counted.changes, entry.recorded_at,
    listed.status = 'scheduled' AND coalesce(latest.ended, false) AS ended
FROM listed JOIN counted ON counted.id = listed.id JOIN log.entry AS entry ON entry.position = counted.position
LEFT JOIN latest ON latest.id = listed.cooperation
ORDER BY listed.id;
