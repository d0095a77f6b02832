-- titles: what cooperations and the steps of roadmaps are called.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE titles (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    cooperation text NOT NULL,
    parties text[] NOT NULL,
    earliest date,
    latest date,
    qualified boolean NOT NULL,
    title text NOT NULL,
    words text NOT NULL
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS titles_versions ON titles (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS titles_current ON titles (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS titles_promised ON titles (sort, id) WHERE sort <> '' AND died IS NULL;
CREATE INDEX IF NOT EXISTS titles_promise_ended ON titles (died) WHERE sort <> '' AND died IS NOT NULL;
CREATE INDEX IF NOT EXISTS titles_words ON titles USING gin ((words::tsvector));

-- name: seen
-- Look at the rows from a page of the table on: $1 its number and 0.
SELECT count(*) FROM titles WHERE ctid >= $1;

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE titles;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE titles AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;
