-- name: record
-- $1 who, $2 token's id or null, $3 what, $4 detail (JSON), $5 address or null, $6 request's id or null
INSERT INTO access.record (who, token_id, what, detail, from_address, request_id)
VALUES ($1, $2, $3, $4::jsonb, $5, $6);

-- name: list
-- The newest first. $1 name or null, $2 token's id or null, $3 what or null, $4 from or null, $5 before or null,
-- $6 and $7 the time and id to go on after, or null, $8 how many at most
SELECT r.id, r.at, r.who, r.token_id, r.what, r.detail::text AS detail, host(r.from_address) AS from_address,
    r.request_id::text AS request_id
FROM access.record AS r
WHERE ($1::text IS NULL OR r.who = $1)
    AND ($2::text IS NULL OR r.token_id = $2)
    AND ($3::text IS NULL OR r.what = $3)
    AND ($4::timestamptz IS NULL OR r.at >= $4)
    AND ($5::timestamptz IS NULL OR r.at < $5)
    AND ($6::timestamptz IS NULL OR (r.at, r.id) < ($6, $7::bigint))
ORDER BY r.at DESC, r.id DESC
LIMIT $8;
