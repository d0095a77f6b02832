-- search: whatever can be looked for by its words. A query over other read models' rows.

-- name: find
-- What has all the words, as of a log size: first what is called so, then what is called something that begins so, then
-- what it was said of; in each by the words of the title. `sort` says which of these, and the words.
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most,
--   $5 the words as beginnings of words, $6 as words of the title, $7 as beginnings of words of the title, each as a tsquery
SELECT kind, id, title, cooperation, sort FROM (
    SELECT kind, id, title, cooperation,
        CASE WHEN found @@ $6::text::tsquery THEN '0' WHEN found @@ $7::text::tsquery THEN '1' ELSE '2' END
            || left(rtrim(replace(substring(words FROM '^(?:[a-z0-9]+:1A ?)*'), ':1A', '')), 100) AS sort
    FROM (
        SELECT 'party' AS kind, id, title, NULL AS cooperation, words FROM parties
        WHERE born < $1 AND (died IS NULL OR died >= $1) AND words::tsvector @@ $5::text::tsquery
        UNION ALL
        SELECT 'occasion', id, title, NULL, words FROM occasions
        WHERE born < $1 AND (died IS NULL OR died >= $1) AND words::tsvector @@ $5::text::tsquery
        UNION ALL
        SELECT 'source', id, title, NULL, words FROM sources
        WHERE born < $1 AND (died IS NULL OR died >= $1) AND words::tsvector @@ $5::text::tsquery
        UNION ALL
        SELECT 'topic', id, title, cooperation, words FROM topics
        WHERE born < $1 AND (died IS NULL OR died >= $1) AND words::tsvector @@ $5::text::tsquery
        UNION ALL
        SELECT 'meeting', id, title, cooperation, words FROM meetings
        WHERE born < $1 AND (died IS NULL OR died >= $1) AND words::tsvector @@ $5::text::tsquery
        UNION ALL
        SELECT 'negotiations', id, title, cooperation, words FROM negotiations
        WHERE born < $1 AND (died IS NULL OR died >= $1) AND words::tsvector @@ $5::text::tsquery
        UNION ALL
        SELECT CASE WHEN id = cooperation THEN 'cooperation' ELSE 'milestone' END, id, title, nullif(cooperation, id), words
        FROM titles
        WHERE born < $1 AND (died IS NULL OR died >= $1) AND words::tsvector @@ $5::text::tsquery
        UNION ALL
        SELECT 'visit', id, title, cooperation, words FROM visits
        WHERE born < $1 AND (died IS NULL OR died >= $1) AND words::tsvector @@ $5::text::tsquery
        UNION ALL
        SELECT 'round', id, title, cooperation, words FROM rounds
        WHERE born < $1 AND (died IS NULL OR died >= $1) AND words::tsvector @@ $5::text::tsquery
        UNION ALL
        SELECT 'agreement', id, title, cooperation, words FROM agreements
        WHERE born < $1 AND (died IS NULL OR died >= $1) AND words::tsvector @@ $5::text::tsquery
    ) AS things, LATERAL (SELECT words::tsvector AS found OFFSET 0) AS of_thing
) AS ranked
WHERE $2::text IS NULL OR (sort COLLATE "C", id) > ($2 COLLATE "C", $3::text)
ORDER BY sort COLLATE "C", id
LIMIT $4;
