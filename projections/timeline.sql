-- timeline: everything of a cooperation or of a party, by date. A query over other read models' rows.

-- name: of_cooperation
-- What happened and is to happen in a cooperation, in ascending order of dates.
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most, $5 cooperation
SELECT kind, id, sort, refs, body FROM (
    SELECT 'meeting' AS kind, id, sort, refs, body FROM read.meetings
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND cooperation = $5::text
    UNION ALL
    SELECT 'negotiations' AS kind, id, sort, refs, body FROM read.negotiations
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND cooperation = $5::text
    UNION ALL
    SELECT 'roadmap' AS kind, id, sort, refs, body FROM read.roadmaps
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND cooperation = $5::text
    UNION ALL
    SELECT 'visit' AS kind, id, sort, refs, body FROM read.visits
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND cooperation = $5::text
    UNION ALL
    SELECT 'round' AS kind, id, sort, refs, body FROM read.rounds
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND cooperation = $5::text
    UNION ALL
    SELECT 'agreement' AS kind, id, sort, refs, body FROM read.agreements
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND cooperation = $5::text
) AS things
WHERE $2::text IS NULL OR (sort, id) > ($2 COLLATE "C", $3::text)
ORDER BY sort, id
LIMIT $4;

-- name: of_party
-- What a party took part in and is to take part in, in ascending order of dates.
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most, $5 the party and those merged with it
SELECT kind, id, sort, refs, body FROM (
    SELECT 'meeting' AS kind, id, sort, refs, body FROM read.meetings
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'negotiations' AS kind, id, sort, refs, body FROM read.negotiations
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'roadmap' AS kind, id, sort, refs, body FROM read.roadmaps
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'visit' AS kind, id, sort, refs, body FROM read.visits
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'round' AS kind, id, sort, refs, body FROM read.rounds
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'agreement' AS kind, id, sort, refs, body FROM read.agreements
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'occasion' AS kind, id, sort, refs, body FROM read.occasions
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
) AS things
WHERE $2::text IS NULL OR (sort, id) > ($2 COLLATE "C", $3::text)
ORDER BY sort, id
LIMIT $4;
