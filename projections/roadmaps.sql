-- roadmaps: the ways ahead that were agreed, with their milestones, newest first.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE roadmaps (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    cooperation text NOT NULL,
    parties text[] NOT NULL,
    topics text[] NOT NULL,
    topic_kinds text[] NOT NULL,
    meeting text,
    earliest date,
    latest date,
    qualified boolean NOT NULL
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS roadmaps_versions ON roadmaps (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS roadmaps_current ON roadmaps (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS roadmaps_order ON roadmaps (sort, id);
CREATE INDEX IF NOT EXISTS roadmaps_cooperation ON roadmaps (cooperation);
CREATE INDEX IF NOT EXISTS roadmaps_parties ON roadmaps USING gin (parties);

-- name: seen
-- Look at the rows from a page of the table on: $1 its number and 0.
SELECT count(*) FROM roadmaps WHERE ctid >= $1;

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE roadmaps;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE roadmaps AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;

-- name: items
-- Items as of a log size: $1 ids, $2 size.
SELECT id, sort, body FROM roadmaps
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2);

-- name: page
-- Items as of a log size in descending order:
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most
--   $5 cooperation, or null for any
--   $6 party (or a party merged with it), or null for any
--   $7 topic, or null for any
--   $8 kind of a topic, or null for any
--   $9 meeting, or null for any
--   $10, $11 first and last day of the agreement on it (null: no bound); $12 whether it must lie there, not only may
SELECT id, sort, body FROM roadmaps
WHERE born < $1 AND (died IS NULL OR died >= $1)
  AND ($2::text IS NULL OR (sort, id) < ($2 COLLATE "C", $3::text))
  AND ($5::text IS NULL OR cooperation = $5)
  AND ($6::text[] IS NULL OR parties && $6)
  AND ($7::text IS NULL OR topics @> ARRAY[$7])
  AND ($8::text IS NULL OR topic_kinds @> ARRAY[$8])
  AND ($9::text IS NULL OR meeting = $9)
  AND projection.lies(earliest, latest, qualified, $10::date, $11::date, $12::boolean)
ORDER BY sort DESC, id DESC
LIMIT $4;
