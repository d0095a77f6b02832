-- Two generations, row by row.

-- name: differences
-- In what a read model's tables differ: $1 and $2 the schemas, $3 the read model, $4 the log size that both have come
-- to, $5 how many rows at the most.
SELECT id, born, says, columns FROM projection.differences($1, $2, $3, $4, $5);
