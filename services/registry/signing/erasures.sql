-- Which keys of the vault were destroyed, and destroying them again. Run by the service's role.

-- name: destroyed
-- The owners whose keys were destroyed with what entries say: of each person erased, and of each document that was on file
-- and that a source which was withdrawn or amended was ever said to be over. A key is made with its document, so one without
-- was destroyed, whichever source it was that went last; a document that never came has no key either, and may come yet.
--   $1 the first position to look at, $2 the position to stop before
--   $3 types that erase a person, $4 that withdraw a source or change which document it is over
WITH sources AS (
    SELECT DISTINCT stream FROM log.entry
    WHERE position >= $1 AND position < $2 AND type = ANY ($4::text[]) AND stream LIKE 'source/%'
), said AS (
    SELECT convert_from(e.bytes, 'UTF8')::jsonb -> 'data' AS data
    FROM sources JOIN log.entry AS e USING (stream)
), owners AS (
    SELECT stream AS owner FROM log.entry WHERE position >= $1 AND position < $2 AND type = ANY ($3::text[])
    UNION
    SELECT 'document/' || hash FROM said, LATERAL (VALUES (data ->> 'sha256'), (data #>> '{replacement,sha256}')) AS h (hash)
    WHERE EXISTS (SELECT FROM log.document AS d WHERE d.sha256 = decode(hash, 'hex'))
)
SELECT owner FROM owners WHERE NOT EXISTS (SELECT FROM vault.key AS k WHERE k.owner = owners.owner) ORDER BY owner COLLATE "C";

-- name: destroy
-- Destroy keys, and with them the tokens of their owners: whose keys there were. $1 owners.
DELETE FROM vault.key WHERE owner = ANY ($1::text[]) RETURNING owner;

-- name: destroy_salts
-- $1 owners.
DELETE FROM vault.command_salt WHERE owner = ANY ($1::text[]);
