-- cooperations: lines of cooperation with their stage, by title.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE cooperations (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    parties text[] NOT NULL,
    fields text[] NOT NULL,
    stage text NOT NULL
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS cooperations_versions ON cooperations (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS cooperations_current ON cooperations (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS cooperations_order ON cooperations (sort, id);
CREATE INDEX IF NOT EXISTS cooperations_parties ON cooperations USING gin (parties);

-- name: seen
-- Look at the rows from a page of the table on: $1 its number and 0.
SELECT count(*) FROM cooperations WHERE ctid >= $1;

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE cooperations;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE cooperations AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;

-- name: items
-- Items as of a log size, with their topics, for which there is room at the end of their bodies: $1 ids, $2 size.
SELECT id, sort,
    substring(body FOR octet_length(body) - 2) || coalesce((
        SELECT string_agg(topic.body, ',' ORDER BY topic.sort) FROM topics AS topic
        WHERE topic.cooperation = cooperations.id AND topic.born < $2 AND (topic.died IS NULL OR topic.died >= $2)), '')
        || ']}' AS body
FROM cooperations
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2);

-- name: page
-- Items as of a log size, with their topics, in ascending order:
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most
--   $5 party (or a party merged with it), or null for any
--   $6 field, or null for any
--   $7 stage, or null for any
--   $8 kind of a topic raised, or null for any
--   $9 country of one of the parties, of a merged one that of the party it lives on in, or null for any
SELECT id, sort,
    substring(body FOR octet_length(body) - 2) || coalesce((
        SELECT string_agg(topic.body, ',' ORDER BY topic.sort) FROM topics AS topic
        WHERE topic.cooperation = cooperations.id AND topic.born < $1 AND (topic.died IS NULL OR topic.died >= $1)), '')
        || ']}' AS body
FROM cooperations
WHERE born < $1 AND (died IS NULL OR died >= $1)
  AND ($2::text IS NULL OR (sort, id) > ($2 COLLATE "C", $3::text))
  AND ($5::text[] IS NULL OR parties && $5)
  AND ($6::text IS NULL OR fields @> ARRAY[$6])
  AND ($7::text IS NULL OR stage = $7)
  AND ($8::text IS NULL OR EXISTS (
      SELECT FROM topics AS topic
      WHERE topic.cooperation = cooperations.id AND topic.topic_kind = $8
        AND topic.born < $1 AND (topic.died IS NULL OR topic.died >= $1)))
  AND ($9::text IS NULL OR EXISTS (
      SELECT FROM parties AS party
      WHERE party.id = ANY (cooperations.parties) AND party.country = $9 AND party.merged_into IS NULL
        AND party.born < $1 AND (party.died IS NULL OR party.died >= $1))
    OR parties && ARRAY(
      WITH RECURSIVE merged (id, into_) AS (
          SELECT party.id, party.merged_into FROM parties AS party
          WHERE party.merged_into IS NOT NULL AND party.born < $1 AND (party.died IS NULL OR party.died >= $1)
          UNION
          SELECT merged.id, party.merged_into FROM merged JOIN parties AS party ON party.id = merged.into_
          WHERE party.merged_into IS NOT NULL AND party.born < $1 AND (party.died IS NULL OR party.died >= $1)
      )
      SELECT merged.id FROM merged JOIN parties AS party ON party.id = merged.into_
      WHERE party.merged_into IS NULL AND party.country = $9
        AND party.born < $1 AND (party.died IS NULL OR party.died >= $1)))
ORDER BY sort ASC, id ASC
LIMIT $4;
