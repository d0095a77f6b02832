-- sources: the documents that statements rest on, by date of publication.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE sources (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    publisher text NOT NULL,
    language text NOT NULL,
    sha256 text NOT NULL,
    earliest date,
    latest date,
    qualified boolean NOT NULL,
    title text NOT NULL,
    words text NOT NULL
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS sources_versions ON sources (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS sources_current ON sources (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS sources_order ON sources (sort, id);
CREATE INDEX IF NOT EXISTS sources_sha256 ON sources (sha256);
CREATE INDEX IF NOT EXISTS sources_words ON sources USING gin ((words::tsvector));

-- name: seen
-- Look at the rows from a page of the table on: $1 its number and 0.
SELECT count(*) FROM sources WHERE ctid >= $1;

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE sources;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE sources AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;

-- name: items
-- Items as of a log size: $1 ids, $2 size.
SELECT id, sort, body FROM sources
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2);

-- name: page
-- Items as of a log size in descending order:
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most
--   $5 publisher, or null for any
--   $6 language, or null for any
--   $7 sha256, or null for any
--   $8, $9 first and last day of publication (null: no bound); $10 whether it must lie there, not only may
SELECT id, sort, body FROM sources
WHERE born < $1 AND (died IS NULL OR died >= $1)
  AND ($2::text IS NULL OR (sort, id) < ($2 COLLATE "C", $3::text))
  AND ($5::text IS NULL OR publisher = $5)
  AND ($6::text IS NULL OR language = $6)
  AND ($7::text IS NULL OR sha256 = $7)
  AND projection.lies(earliest, latest, qualified, $8::date, $9::date, $10::boolean)
ORDER BY sort DESC, id DESC
LIMIT $4;
