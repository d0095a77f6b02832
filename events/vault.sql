-- Keys of sealed data, salts of commands that name somebody, and sealed documents.

-- name: keys
-- The wrapped keys of owners, as far as they have not been destroyed: $1 owners.
SELECT owner, wrapped, master_key_id FROM vault.key WHERE owner = ANY ($1::text[]);

-- name: fits
-- Whether there is a key that a master key wrapped, and keys were not wrapped anew by another since, or there is no key at
-- all: $1 its id.
SELECT NOT EXISTS (SELECT FROM vault.key) OR EXISTS (SELECT FROM vault.key WHERE master_key_id = $1) AND NOT EXISTS (
    SELECT FROM vault.mark AS m
    CROSS JOIN LATERAL (SELECT FROM vault.key AS k WHERE k.master_key_id = m.master_key_id LIMIT 1) AS anew
    WHERE m.one AND m.master_key_id <> $1
);

-- name: add_key
-- $1 owner, $2 wrapped key, $3 master key's id.
INSERT INTO vault.key (owner, wrapped, master_key_id) VALUES ($1, $2, $3);

-- name: salts
-- The parts of the salt of a command's hash, of those owners whose keys are there still: $1 command id.
SELECT owner, salt FROM vault.command_salt WHERE command_id = $1 ORDER BY owner COLLATE "C";

-- name: found
-- The owners that have what is asked for, in order: of every word that was typed, all tokens of one of its readings.
--   $1 tokens, $2 the word that each is of, $3 which of that word's readings, $4 how many tokens that reading has
--   $5 how many words were typed, $6 the owner after which to go on ('': from the start), $7 how many at the most
SELECT owner FROM (
    SELECT token.owner, asked.term
    FROM unnest($1::bytea[], $2::int[], $3::int[], $4::int[]) AS asked (token, term, reading, tokens)
    JOIN vault.token AS token ON token.token = asked.token
    WHERE token.owner > $6 COLLATE "C"
    GROUP BY token.owner, asked.term, asked.reading, asked.tokens HAVING count(*) = asked.tokens
) AS met
GROUP BY owner HAVING count(DISTINCT term) = $5
ORDER BY owner COLLATE "C" LIMIT $7;

-- name: tokens
-- The tokens that owners have: $1 owners.
SELECT owner, token FROM vault.token WHERE owner = ANY ($1::text[]) ORDER BY owner, token;

-- name: document
-- What is on file, without its content, and whether its key is there still: $1 SHA-256s.
SELECT d.sha256, d.media_type, d.size, d.characters,
    EXISTS (SELECT FROM vault.key AS k WHERE k.owner = 'document/' || encode(d.sha256, 'hex')) AS readable
FROM log.document AS d WHERE d.sha256 = ANY ($1::bytea[]);

-- name: contents
-- Sealed contents: $1 SHA-256s.
SELECT sha256, sealed FROM log.document WHERE sha256 = ANY ($1::bytea[]);

-- name: texts
-- Which documents are text and can be read, in order, and how large each is.
SELECT d.sha256, d.size FROM log.document AS d
WHERE d.characters IS NOT NULL
    AND EXISTS (SELECT FROM vault.key AS k WHERE k.owner = 'document/' || encode(d.sha256, 'hex'))
ORDER BY d.sha256;

-- name: text
-- The sealed content of a document that is text; a null for one that is not, no row for one not on file. $1 SHA-256.
SELECT CASE WHEN characters IS NOT NULL THEN sealed END AS sealed FROM log.document WHERE sha256 = $1;

-- name: file
-- Put a document on file unless it is: whether it was new. $1 SHA-256, $2 media type, $3 size, $4 characters, $5 sealed.
INSERT INTO log.document (sha256, media_type, size, characters, sealed) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT ON CONSTRAINT document_sha256_key DO NOTHING RETURNING true;

-- name: hold_log
-- Keep those who record waiting until the transaction ends: who had begun has committed.
SELECT FROM log.head WHERE one FOR UPDATE;

-- name: amended
-- Whether sources were withdrawn or amended from a position on: $1.
SELECT EXISTS (SELECT FROM log.entry WHERE position >= $1 AND stream LIKE 'source/%' AND revision > 0);
