-- What is digested of a read model.

-- name: rows
-- Its rows as of a log size, by id: $1 schema, $2 read model, $3 its own columns, $4 size.
SELECT id, sort, body, columns FROM projection.rows_at($1, $2, $3, $4);
