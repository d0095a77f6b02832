-- search: whatever can be looked for by its words.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE search (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    called text NOT NULL,
    words text NOT NULL,
    terms tsvector GENERATED ALWAYS AS (array_to_tsvector(string_to_array(words, ' '))) STORED
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS search_versions ON search (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS search_current ON search (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS search_terms ON search USING gin (terms);

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE search;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE search AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;

-- name: find
-- What has all the words, as of a log size: first what is called so, then what is called something that begins so, then
-- what it was said of; in each by title. `sort` says which of these and the title.
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most,
--   $5 the words, $6 the words as beginnings of words, both as a tsquery.
SELECT id, sort, body FROM (
    SELECT id, body, CASE WHEN title @@ $5::text::tsquery THEN '0' WHEN title @@ $6::text::tsquery THEN '1'
        ELSE '2' END || sort AS sort
    FROM search, LATERAL (SELECT array_to_tsvector(string_to_array(called, ' ')) AS title OFFSET 0) AS of_title
    WHERE born < $1 AND (died IS NULL OR died >= $1) AND terms @@ $6::text::tsquery
) AS found
WHERE $2::text IS NULL OR (sort COLLATE "C", id) > ($2 COLLATE "C", $3::text)
ORDER BY sort COLLATE "C", id
LIMIT $4;
