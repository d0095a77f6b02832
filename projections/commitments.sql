-- commitments: what was promised and has not happened yet, by the last day on which it is due.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE commitments (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    cooperation text NOT NULL,
    parties text[] NOT NULL,
    kind text NOT NULL,
    earliest date,
    latest date,
    qualified boolean NOT NULL
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS commitments_versions ON commitments (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS commitments_current ON commitments (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS commitments_order ON commitments (sort, id);
CREATE INDEX IF NOT EXISTS commitments_parties ON commitments USING gin (parties);

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE commitments;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE commitments AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;

-- name: items
-- Items as of a log size: $1 ids, $2 size.
SELECT id, sort, body FROM commitments
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2);

-- name: page
-- Items as of a log size in ascending order:
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most
--   $5 cooperation, or null for any
--   $6 party (or a party merged with it), or null for any
--   $7 kind, or null for any
--   $8, $9 first and last day of the time at which it is due (null: no bound); $10 whether it must lie there, not only may
--   $11 whether it has to be overdue (null: either), $12 on which day
SELECT id, sort, body FROM commitments
WHERE born < $1 AND (died IS NULL OR died >= $1)
  AND ($2::text IS NULL OR (sort, id) > ($2 COLLATE "C", $3::text))
  AND ($5::text IS NULL OR cooperation = $5)
  AND ($6::text[] IS NULL OR parties && $6)
  AND ($7::text IS NULL OR kind = $7)
  AND projection.lies(earliest, latest, qualified, $8::date, $9::date, $10::boolean)
  AND ($11::boolean IS NULL OR coalesce(NOT qualified AND latest < $12::date, false) = $11)
ORDER BY sort ASC, id ASC
LIMIT $4;
