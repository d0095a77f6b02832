-- statistics: how much of what there is, as of a log size. Queries over other read models' rows.

-- name: by_cooperation
-- By what cooperations are of; one that is of two countries or fields counts for both: $1 size,
--   $2 'country' (of their parties), 'field' or 'stage'.
WITH cooperation AS (
    SELECT id, parties, fields, stage FROM read.cooperations WHERE born < $1 AND (died IS NULL OR died >= $1)
), member (id, key) AS (
    SELECT cooperation.id, party.country
    FROM cooperation JOIN read.parties AS party ON party.id = ANY (cooperation.parties)
    WHERE $2::text = 'country' AND party.born < $1 AND (party.died IS NULL OR party.died >= $1)
    UNION
    SELECT id, unnest(fields) FROM cooperation WHERE $2 = 'field'
    UNION
    SELECT id, stage FROM cooperation WHERE $2 = 'stage'
)
SELECT member.key, count(*) AS cooperations,
    coalesce(sum(meetings.number), 0)::bigint AS meetings,
    coalesce(sum(negotiations.number), 0)::bigint AS negotiations,
    coalesce(sum(roadmaps.number), 0)::bigint AS roadmaps,
    coalesce(sum(visits.number), 0)::bigint AS visits,
    coalesce(sum(rounds.number), 0)::bigint AS rounds,
    coalesce(sum(agreements.number), 0)::bigint AS agreements
FROM member
LEFT JOIN (
    SELECT cooperation, count(*) AS number FROM read.meetings
    WHERE born < $1 AND (died IS NULL OR died >= $1) GROUP BY cooperation
) AS meetings ON meetings.cooperation = member.id
LEFT JOIN (
    SELECT cooperation, count(*) AS number FROM read.negotiations
    WHERE born < $1 AND (died IS NULL OR died >= $1) GROUP BY cooperation
) AS negotiations ON negotiations.cooperation = member.id
LEFT JOIN (
    SELECT cooperation, count(*) AS number FROM read.roadmaps
    WHERE born < $1 AND (died IS NULL OR died >= $1) GROUP BY cooperation
) AS roadmaps ON roadmaps.cooperation = member.id
LEFT JOIN (
    SELECT cooperation, count(*) AS number FROM read.visits
    WHERE born < $1 AND (died IS NULL OR died >= $1) GROUP BY cooperation
) AS visits ON visits.cooperation = member.id
LEFT JOIN (
    SELECT cooperation, count(*) AS number FROM read.rounds
    WHERE born < $1 AND (died IS NULL OR died >= $1) GROUP BY cooperation
) AS rounds ON rounds.cooperation = member.id
LEFT JOIN (
    SELECT cooperation, count(*) AS number FROM read.agreements
    WHERE born < $1 AND (died IS NULL OR died >= $1) GROUP BY cooperation
) AS agreements ON agreements.cooperation = member.id
GROUP BY member.key ORDER BY member.key;

-- name: by_month
-- By the month in which things happened or are to happen, as far as it is known: those within one month by what was
-- stated. What was cancelled is not among them, and cooperations are those in which something did.
SELECT to_char(earliest, 'YYYY-MM') AS key, count(DISTINCT cooperation) AS cooperations,
    count(*) FILTER (WHERE kind = 'meetings') AS meetings,
    count(*) FILTER (WHERE kind = 'negotiations') AS negotiations,
    count(*) FILTER (WHERE kind = 'roadmaps') AS roadmaps,
    count(*) FILTER (WHERE kind = 'visits') AS visits,
    count(*) FILTER (WHERE kind = 'rounds') AS rounds,
    count(*) FILTER (WHERE kind = 'agreements') AS agreements
FROM (
    SELECT 'meetings' AS kind, cooperation, earliest, latest FROM read.meetings
    WHERE born < $1 AND (died IS NULL OR died >= $1)
    UNION ALL
    SELECT 'negotiations' AS kind, cooperation, earliest, latest FROM read.negotiations
    WHERE born < $1 AND (died IS NULL OR died >= $1)
    UNION ALL
    SELECT 'roadmaps' AS kind, cooperation, earliest, latest FROM read.roadmaps
    WHERE born < $1 AND (died IS NULL OR died >= $1)
    UNION ALL
    SELECT 'visits' AS kind, cooperation, earliest, latest FROM read.visits
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND status <> 'cancelled'
    UNION ALL
    SELECT 'rounds' AS kind, cooperation, earliest, latest FROM read.rounds
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND status <> 'cancelled'
    UNION ALL
    SELECT 'agreements' AS kind, cooperation, earliest, latest FROM read.agreements
    WHERE born < $1 AND (died IS NULL OR died >= $1)
) AS things
WHERE date_trunc('month', earliest) = date_trunc('month', latest)
GROUP BY key ORDER BY key;
