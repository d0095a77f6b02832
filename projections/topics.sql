-- topics: what cooperations are about, in the order in which it was raised.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE topics (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    cooperation text NOT NULL,
    topic_kind text NOT NULL,
    title text NOT NULL,
    words text NOT NULL
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS topics_versions ON topics (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS topics_current ON topics (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS topics_cooperation ON topics (cooperation);
CREATE INDEX IF NOT EXISTS topics_words ON topics USING gin ((words::tsvector));

-- name: seen
-- Look at the rows from a page of the table on: $1 its number and 0.
SELECT count(*) FROM topics WHERE ctid >= $1;

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE topics;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE topics AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;
