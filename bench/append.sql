-- What one would write without a log: a table with the same unique indexes, filled row by row.

-- name: create_table
CREATE TABLE public.bare (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    revision integer NOT NULL,
    ordinal integer NOT NULL,
    id uuid NOT NULL UNIQUE,
    command_id uuid NOT NULL,
    stream text NOT NULL,
    type text NOT NULL,
    data bytea NOT NULL,
    UNIQUE (stream, revision),
    UNIQUE (command_id, ordinal)
);
GRANT INSERT ON public.bare TO registry_service;

-- name: insert
-- $1: recorded_at, $2: stream, $3: revision, $4: id, $5: type, $6: command id, $7: ordinal, $8: data.
INSERT INTO public.bare (recorded_at, stream, revision, id, type, command_id, ordinal, data)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);
