-- statistics: how much of what there is, as of a log size. A query over other read models' rows.
--
-- One rule says what counts, whatever it is counted by: what happened, and what is still to happen. A visit or a round that
-- was cancelled does not count, nor one that was scheduled in a cooperation that ended before it was held.

-- name: counts
-- $1 size, $2 what to count by:
--   'country' (of a cooperation's parties, merged ones being what they live on in), 'field' or 'stage': all cooperations,
--     one that is of two countries or fields counting for both, and what belongs to them;
--   'month' in which things happened (visits and rounds: were held) or are to happen, as far as it is known: what was stated
--     without doubt and lies within one month. Cooperations are then those in which something did.
WITH RECURSIVE cooperation AS (
    SELECT id, parties, fields, stage FROM cooperations WHERE born < $1 AND (died IS NULL OR died >= $1)
), thing (kind, cooperation, earliest, latest, qualified) AS (
    SELECT 'meetings', cooperation, earliest, latest, qualified FROM meetings
    WHERE born < $1 AND (died IS NULL OR died >= $1)
    UNION ALL
    SELECT 'negotiations', cooperation, earliest, latest, qualified FROM negotiations
    WHERE born < $1 AND (died IS NULL OR died >= $1)
    UNION ALL
    SELECT 'roadmaps', cooperation, earliest, latest, qualified FROM roadmaps
    WHERE born < $1 AND (died IS NULL OR died >= $1)
    UNION ALL
    SELECT 'agreements', cooperation, earliest, latest, qualified FROM agreements
    WHERE born < $1 AND (died IS NULL OR died >= $1)
    UNION ALL
    SELECT 'visits', cooperation, held_earliest, held_latest, held_qualified FROM visits
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND status = 'held'
    UNION ALL
    SELECT 'rounds', cooperation, held_earliest, held_latest, held_qualified FROM rounds
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND status = 'held'
    UNION ALL
    SELECT scheduled.kind, scheduled.cooperation, scheduled.earliest, scheduled.latest, scheduled.qualified
    FROM (
        SELECT 'visits' AS kind, cooperation, earliest, latest, qualified FROM visits
        WHERE born < $1 AND (died IS NULL OR died >= $1) AND status = 'scheduled'
        UNION ALL
        SELECT 'rounds', cooperation, earliest, latest, qualified FROM rounds
        WHERE born < $1 AND (died IS NULL OR died >= $1) AND status = 'scheduled'
    ) AS scheduled
    JOIN cooperation ON cooperation.id = scheduled.cooperation AND cooperation.stage NOT IN ('concluded', 'abandoned')
), counted AS (
    SELECT cooperation, month,
        count(*) FILTER (WHERE kind = 'meetings') AS meetings,
        count(*) FILTER (WHERE kind = 'negotiations') AS negotiations,
        count(*) FILTER (WHERE kind = 'roadmaps') AS roadmaps,
        count(*) FILTER (WHERE kind = 'visits') AS visits,
        count(*) FILTER (WHERE kind = 'rounds') AS rounds,
        count(*) FILTER (WHERE kind = 'agreements') AS agreements
    FROM (
        -- The first and the last day that there are, as the driver writes them, are -infinity and infinity.
        SELECT kind, cooperation, CASE WHEN $2::text = 'month' THEN
            to_char(least(greatest(earliest, DATE '0001-01-01'), DATE '9999-12-31')::timestamp, 'YYYY-MM') END AS month
        FROM thing
        WHERE $2 <> 'month' OR NOT qualified AND earliest IS NOT NULL AND latest IS NOT NULL
            AND date_trunc('month', least(greatest(earliest, DATE '0001-01-01'), DATE '9999-12-31')::timestamp)
              = date_trunc('month', least(greatest(latest, DATE '0001-01-01'), DATE '9999-12-31')::timestamp)
    ) AS dated
    GROUP BY cooperation, month
), merged (id, into_) AS (
    SELECT id, merged_into FROM parties
    WHERE merged_into IS NOT NULL AND born < $1 AND (died IS NULL OR died >= $1)
    UNION
    SELECT merged.id, party.merged_into FROM merged JOIN parties AS party ON party.id = merged.into_
    WHERE party.merged_into IS NOT NULL AND party.born < $1 AND (party.died IS NULL OR party.died >= $1)
), survivor (id, country) AS (
    SELECT merged.id, party.country FROM merged JOIN parties AS party ON party.id = merged.into_
    WHERE party.merged_into IS NULL AND party.born < $1 AND (party.died IS NULL OR party.died >= $1)
), member (cooperation, key) AS (
    SELECT cooperation.id, coalesce(survivor.country, party.country)
    FROM cooperation JOIN parties AS party ON party.id = ANY (cooperation.parties)
    LEFT JOIN survivor ON survivor.id = party.id
    WHERE $2 = 'country' AND party.born < $1 AND (party.died IS NULL OR party.died >= $1)
    UNION
    SELECT id, unnest(fields) FROM cooperation WHERE $2 = 'field'
    UNION
    SELECT id, stage FROM cooperation WHERE $2 = 'stage'
    UNION
    SELECT cooperation, month FROM counted WHERE $2 = 'month'
)
SELECT member.key, count(*) AS cooperations,
    coalesce(sum(counted.meetings), 0)::bigint AS meetings,
    coalesce(sum(counted.negotiations), 0)::bigint AS negotiations,
    coalesce(sum(counted.roadmaps), 0)::bigint AS roadmaps,
    coalesce(sum(counted.visits), 0)::bigint AS visits,
    coalesce(sum(counted.rounds), 0)::bigint AS rounds,
    coalesce(sum(counted.agreements), 0)::bigint AS agreements
FROM member LEFT JOIN counted
    ON counted.cooperation = member.cooperation AND (counted.month IS NULL OR counted.month = member.key)
GROUP BY member.key ORDER BY member.key;
