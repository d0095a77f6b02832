-- Which keys of the vault were destroyed, and destroying them again. Run by the service's role.

-- name: destroyed
-- The owners without a key that entries say to have been erased or withdrawn: of each person erased, and of each document
-- that a withdrawn source was ever said to be over, unless it stays on file under another source.
--   $1 the first position to look at, $2 the position to stop before
--   $3 types that erase a person, $4 that withdraw a source, $5 that change which document a source is over
WITH sources AS (
    SELECT DISTINCT e.stream FROM log.entry AS e
    WHERE e.position >= $1 AND e.position < $2 AND e.type = ANY ($4::text[] || $5::text[]) AND e.stream LIKE 'source/%'
        AND EXISTS (SELECT FROM log.entry AS w WHERE w.stream = e.stream AND w.type = ANY ($4::text[]))
), said AS (
    SELECT convert_from(e.bytes, 'UTF8')::jsonb -> 'data' AS data
    FROM sources JOIN log.entry AS e USING (stream)
), owners AS (
    SELECT stream AS owner FROM log.entry WHERE position >= $1 AND position < $2 AND type = ANY ($3::text[])
    UNION
    SELECT 'document/' || hash FROM said, LATERAL (VALUES (data ->> 'sha256'), (data #>> '{replacement,sha256}')) AS h (hash)
    WHERE hash IS NOT NULL
)
SELECT owner FROM owners WHERE NOT EXISTS (SELECT FROM vault.key AS k WHERE k.owner = owners.owner) ORDER BY owner COLLATE "C";

-- name: destroy
-- Destroy keys, and with them the tokens of their owners: whose keys there were. $1 owners.
DELETE FROM vault.key WHERE owner = ANY ($1::text[]) RETURNING owner;

-- name: destroy_salts
-- $1 owners.
DELETE FROM vault.command_salt WHERE owner = ANY ($1::text[]);
