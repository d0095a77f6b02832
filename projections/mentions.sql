-- mentions: what rests on something, as of a log size. A query over the read models' rows.

-- name: of
-- The current rows that name an id and are not its own: $1 id, $2 size, $3 how many at the most.
SELECT model, id FROM (
    SELECT 'parties' AS model, id, refs, born, died FROM read.parties
    UNION ALL SELECT 'people', id, refs, born, died FROM read.people
    UNION ALL SELECT 'occasions', id, refs, born, died FROM read.occasions
    UNION ALL SELECT 'sources', id, refs, born, died FROM read.sources
    UNION ALL SELECT 'cooperations', id, refs, born, died FROM read.cooperations
    UNION ALL SELECT 'meetings', id, refs, born, died FROM read.meetings
    UNION ALL SELECT 'negotiations', id, refs, born, died FROM read.negotiations
    UNION ALL SELECT 'roadmaps', id, refs, born, died FROM read.roadmaps
    UNION ALL SELECT 'visits', id, refs, born, died FROM read.visits
    UNION ALL SELECT 'rounds', id, refs, born, died FROM read.rounds
    UNION ALL SELECT 'agreements', id, refs, born, died FROM read.agreements
) AS things
WHERE refs @> ARRAY[$1::text] AND id <> $1 AND born < $2 AND (died IS NULL OR died >= $2)
ORDER BY model, id
LIMIT $3;
