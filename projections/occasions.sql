-- occasions: where people come together, with the delegations sent, by date.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE occasions (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    kind text NOT NULL,
    country text NOT NULL,
    organiser text,
    status text NOT NULL,
    parties text[] NOT NULL,
    earliest date,
    latest date,
    qualified boolean NOT NULL,
    title text NOT NULL,
    words text NOT NULL
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS occasions_versions ON occasions (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS occasions_current ON occasions (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS occasions_order ON occasions (sort, id);
CREATE INDEX IF NOT EXISTS occasions_words ON occasions USING gin ((words::tsvector));

-- name: seen
-- Look at the rows from a page of the table on: $1 its number and 0.
SELECT count(*) FROM occasions WHERE ctid >= $1;

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE occasions;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE occasions AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;

-- name: items
-- Items as of a log size: $1 ids, $2 size.
SELECT id, sort, body FROM occasions
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2);

-- name: page
-- Items as of a log size in ascending order:
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most
--   $5 kind, or null for any
--   $6 country, or null for any
--   $7 organiser (or a party merged with it), or null for any
--   $8 status, or null for any
--   $9 party that organises it or took part (or a party merged with it), or null for any
--   $10, $11 first and last day of the occasion (null: no bound); $12 whether it must lie there, not only may
SELECT id, sort, body FROM occasions
WHERE born < $1 AND (died IS NULL OR died >= $1)
  AND ($2::text IS NULL OR (sort, id) > ($2 COLLATE "C", $3::text))
  AND ($5::text IS NULL OR kind = $5)
  AND ($6::text IS NULL OR country = $6)
  AND ($7::text[] IS NULL OR organiser = ANY ($7))
  AND ($8::text IS NULL OR status = $8)
  AND ($9::text[] IS NULL OR parties && $9)
  AND projection.lies(earliest, latest, qualified, $10::date, $11::date, $12::boolean)
ORDER BY sort ASC, id ASC
LIMIT $4;
