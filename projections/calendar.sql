-- calendar: the visits and rounds that are or once were in the calendar, as of a log size. Queries over the read models' rows.
--
-- In the calendar is what has days: those on which it was held, or else its window, where neither end is open; and where all
-- that is stated of it has an open end, the other end of these (`services.registry.api.calendar` finds the same). What was in
-- it and is no more is shown as it last was, and said not to stand: it was retracted, has no days any more, or does not
-- match any more, be it because a merger was taken back. Who subscribed to it has to be told that it will not take place.
-- `changes` are the positions of all that changed it, or ended its cooperation (or took that back) while it was scheduled,
-- as it is promised no more (or again) then, or, where a party is asked for, merged or parted it and one of those concerned:
-- it only ever grows.

-- name: of
-- The ones of a read model, by id; the other's branch is gone once the planner knows which:
--   $1 size, $2 id after which to go on, $3 how many at the most
--   $4 cooperation, or null for any
--   $5 party and those that it was ever merged with, or null for any; $6 and $7 after which position each was so (-1:
--      always) and up to which (null: it is so)
--   $8 country, or null for any
--   $9 read model: visits or rounds
WITH kept AS NOT MATERIALIZED (
    SELECT id, born, died, sort, body, cooperation, parties, country, status,
        earliest, latest, held_earliest, held_latest
    FROM visits WHERE $9::text = 'visits'
    UNION ALL
    SELECT id, born, died, sort, body, cooperation, parties, country, status,
        earliest, latest, held_earliest, held_latest
    FROM rounds WHERE $9 = 'rounds'
), same (party, since, until) AS (
    SELECT party, since, until FROM unnest($5::text[], $6::bigint[], $7::bigint[]) AS same (party, since, until)
), shown (id, born) AS (
    SELECT id, max(born) FROM kept
    WHERE born < $1 AND id > $2::text
      AND CASE WHEN held_earliest IS NOT NULL AND held_latest IS NOT NULL THEN held_earliest
          WHEN earliest IS NOT NULL AND latest IS NOT NULL THEN earliest
          ELSE coalesce(held_earliest, held_latest, earliest, latest) END <= DATE '9999-12-30'
      AND ($4::text IS NULL OR cooperation = $4)
      AND ($5 IS NULL OR parties && $5 AND EXISTS (
          SELECT FROM same WHERE same.party = ANY (parties)
          AND (died IS NULL OR died > same.since) AND (same.until IS NULL OR same.until > born)))
      AND ($8::text IS NULL OR country = $8)
    GROUP BY id ORDER BY id LIMIT $3
), listed AS (
    SELECT last.id, sort, body, cooperation, status, (died IS NULL OR died >= $1) AND (
        $5 IS NULL OR EXISTS (SELECT FROM same WHERE same.party = ANY (parties) AND same.until IS NULL)) AS stands
    FROM shown JOIN kept AS last ON last.id = shown.id AND last.born = shown.born
), latest (id, ended) AS (
    SELECT DISTINCT ON (id) id, stage IN ('concluded', 'abandoned')
    FROM cooperations WHERE born < $1 AND id IN (SELECT cooperation FROM listed) ORDER BY id, born DESC
), version (id, born, died, parties) AS (
    SELECT kept.id, kept.born, kept.died, kept.parties
    FROM listed JOIN kept ON kept.id = listed.id WHERE kept.born < $1
), change (id, position) AS (
    SELECT id, born FROM version
    UNION
    SELECT id, died FROM version WHERE died < $1
    UNION
    SELECT version.id, moved.position FROM same
    CROSS JOIN LATERAL (VALUES (same.since), (same.until)) AS moved (position)
    JOIN version ON same.party = ANY (version.parties)
        AND version.born < moved.position AND (version.died IS NULL OR version.died > moved.position)
), counted (id, changes, position) AS (
    SELECT id, count(*), max(position) FROM change GROUP BY id
)
SELECT listed.id, listed.sort, listed.body, listed.stands, counted.changes, entry.recorded_at,
    listed.status = 'scheduled' AND coalesce(latest.ended, false) AS ended
FROM listed JOIN counted ON counted.id = listed.id JOIN log.entry AS entry ON entry.position = counted.position
LEFT JOIN latest ON latest.id = listed.cooperation
ORDER BY listed.id;
