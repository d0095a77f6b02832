-- timeline: everything of a cooperation or of a party, by date. A query over other read models' rows.
--
-- What happened, or is to happen, stands at its date. What has none (a topic that was raised, a cooperation that was
-- opened or suspended, a party that was renamed, a post that somebody took) stands at the day it was recorded.

-- name: of_cooperation
-- Everything of a cooperation, in ascending order of dates.
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most,
--   $5 cooperation
SELECT kind, id, sort, body FROM (
    SELECT 'cooperation' AS kind, id, left(convert_from(body, 'UTF8')::jsonb ->> 'recorded_at', 10) AS sort,
        substring(body FOR octet_length(body) - 2) || coalesce((
            SELECT string_agg(topic.body, ',' ORDER BY topic.sort) FROM topics AS topic
            WHERE topic.cooperation = cooperations.id AND topic.born < $1 AND (topic.died IS NULL OR topic.died >= $1)), '')
            || ']}' AS body
    FROM cooperations WHERE born < $1 AND (died IS NULL OR died >= $1) AND id = $5::text
    UNION ALL
    SELECT 'topic' AS kind, id, left(convert_from(body, 'UTF8')::jsonb ->> 'recorded_at', 10) AS sort, body
    FROM topics WHERE born < $1 AND (died IS NULL OR died >= $1) AND cooperation = $5::text
    UNION ALL
    SELECT 'change' AS kind, id || '#' || (item ->> 'position') AS id, left(item ->> 'recorded_at', 10) AS sort,
        convert_to(item::text, 'UTF8') AS body
    FROM cooperations, jsonb_array_elements(convert_from(body, 'UTF8')::jsonb -> 'changes') AS item
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND id = $5::text
    UNION ALL
    SELECT 'meeting' AS kind, id, sort, body FROM meetings
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND cooperation = $5::text
    UNION ALL
    SELECT 'negotiations' AS kind, id, sort, body FROM negotiations
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND cooperation = $5::text
    UNION ALL
    SELECT 'roadmap' AS kind, id, sort, body FROM roadmaps
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND cooperation = $5::text
    UNION ALL
    SELECT 'visit' AS kind, id, sort, body FROM visits
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND cooperation = $5::text
    UNION ALL
    SELECT 'round' AS kind, id, sort, body FROM rounds
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND cooperation = $5::text
    UNION ALL
    SELECT 'agreement' AS kind, id, sort, body FROM agreements
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND cooperation = $5::text
) AS things
WHERE $2::text IS NULL OR (sort COLLATE "C", id) > ($2 COLLATE "C", $3::text)
ORDER BY sort COLLATE "C", id
LIMIT $4;

-- name: of_party
-- Everything of a party, in ascending order of dates.
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most,
--   $5 the party and those merged with it
SELECT kind, id, sort, body FROM (
    SELECT 'party' AS kind, id, left(convert_from(body, 'UTF8')::jsonb ->> 'recorded_at', 10) AS sort, body
    FROM parties WHERE born < $1 AND (died IS NULL OR died >= $1) AND id = ANY ($5::text[])
    UNION ALL
    SELECT 'change' AS kind, id || '#' || (item ->> 'position') AS id, left(item ->> 'recorded_at', 10) AS sort,
        convert_to(item::text, 'UTF8') AS body
    FROM parties, jsonb_array_elements(convert_from(body, 'UTF8')::jsonb -> 'changes') AS item
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND id = ANY ($5::text[])
    UNION ALL
    SELECT 'post' AS kind, id || '#' || (item ->> 'position') AS id, left(item ->> 'recorded_at', 10) AS sort,
        convert_to(item::text, 'UTF8') AS body
    FROM people, jsonb_array_elements(convert_from(body, 'UTF8')::jsonb -> 'posts') AS item
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND ever && $5::text[] AND item ->> 'party' = ANY ($5::text[])
    UNION ALL
    SELECT 'cooperation' AS kind, id, left(convert_from(body, 'UTF8')::jsonb ->> 'recorded_at', 10) AS sort,
        substring(body FOR octet_length(body) - 2) || coalesce((
            SELECT string_agg(topic.body, ',' ORDER BY topic.sort) FROM topics AS topic
            WHERE topic.cooperation = cooperations.id AND topic.born < $1 AND (topic.died IS NULL OR topic.died >= $1)), '')
            || ']}' AS body
    FROM cooperations WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'topic' AS kind, topic.id, left(convert_from(topic.body, 'UTF8')::jsonb ->> 'recorded_at', 10) AS sort,
        topic.body
    FROM cooperations AS cooperation JOIN topics AS topic ON topic.cooperation = cooperation.id
    WHERE cooperation.born < $1 AND (cooperation.died IS NULL OR cooperation.died >= $1)
      AND topic.born < $1 AND (topic.died IS NULL OR topic.died >= $1) AND cooperation.parties && $5::text[]
    UNION ALL
    SELECT 'change' AS kind, id || '#' || (item ->> 'position') AS id, left(item ->> 'recorded_at', 10) AS sort,
        convert_to(item::text, 'UTF8') AS body
    FROM cooperations, jsonb_array_elements(convert_from(body, 'UTF8')::jsonb -> 'changes') AS item
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'meeting' AS kind, id, sort, body FROM meetings
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'negotiations' AS kind, id, sort, body FROM negotiations
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'roadmap' AS kind, id, sort, body FROM roadmaps
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'visit' AS kind, id, sort, body FROM visits
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'round' AS kind, id, sort, body FROM rounds
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'agreement' AS kind, id, sort, body FROM agreements
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
    UNION ALL
    SELECT 'occasion' AS kind, id, sort, body FROM occasions
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND parties && $5::text[]
) AS things
WHERE $2::text IS NULL OR (sort COLLATE "C", id) > ($2 COLLATE "C", $3::text)
ORDER BY sort COLLATE "C", id
LIMIT $4;
