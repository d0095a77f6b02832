-- Who looked: what was read, exported and done with tokens and keys. Rows are only ever added, as in the log.

CREATE TABLE access.record (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    who text NOT NULL,
    token_id text,
    what text NOT NULL,
    detail jsonb NOT NULL,
    from_address inet,
    request_id uuid,
    CONSTRAINT record_id_key PRIMARY KEY (id),
    CONSTRAINT record_what_is_an_action CHECK (what ~ '^[a-z]+(-[a-z]+)*$'),
    CONSTRAINT record_detail_is_an_object CHECK (jsonb_typeof(detail) = 'object')
);

-- Each filter with the order in which rows are listed, so that a page is a range of an index, however long the record.
CREATE INDEX record_at ON access.record (at, id);
CREATE INDEX record_who ON access.record (who, at, id);
CREATE INDEX record_token ON access.record (token_id, at, id);
CREATE INDEX record_what ON access.record (what, at, id);

COMMENT ON TABLE access.record IS 'Who looked at what, or did what with tokens and keys, when and from where.';
COMMENT ON COLUMN access.record.id IS 'Rises; has gaps where a transaction was taken back.';
COMMENT ON COLUMN access.record.who IS 'The name of a token, or user@host of a command on the command line.';
COMMENT ON COLUMN access.record.token_id IS 'The token that was presented; null for a command on the command line.';
COMMENT ON COLUMN access.record.detail IS 'Positions, sizes, ids; nothing personal and no content.';
COMMENT ON COLUMN access.record.from_address IS 'Where the request came from; null where no address is known.';
COMMENT ON COLUMN access.record.request_id IS 'The Request-Id that the request was answered with.';

CREATE FUNCTION access.refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: who looked stays on record', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;

-- As on log.entry: before a row is looked for, and where only row triggers fire; in replication too.
CREATE TRIGGER record_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON access.record
    FOR EACH STATEMENT EXECUTE FUNCTION access.refuse_change();
CREATE TRIGGER record_refuses_row_change BEFORE UPDATE OR DELETE ON access.record
    FOR EACH ROW EXECUTE FUNCTION access.refuse_change();
ALTER TABLE access.record ENABLE ALWAYS TRIGGER record_refuses_change;
ALTER TABLE access.record ENABLE ALWAYS TRIGGER record_refuses_row_change;

-- Number and time are the database's alone: the service can neither backdate a row nor put one between others.
REVOKE ALL ON FUNCTION access.refuse_change() FROM PUBLIC;
GRANT SELECT ON access.record TO registry_service;
GRANT INSERT (who, token_id, what, detail, from_address, request_id) ON access.record TO registry_service;
