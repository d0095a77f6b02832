-- The log: entries that are only ever added, the one row that orders them, and what is unique across streams.
--
-- Position, time, bytes, leaf and frontier come from the writer (events/log/append.py); `log.append` lets
-- them in only if what the writer assumed still holds. `bytes` is the entry; every other column is a copy for an index.

CREATE SCHEMA log;

-- One constraint that is checked, for each costs time under the lock; the rest the writer sees to, and `registry
-- verify` looks at.
CREATE TABLE log.entry (
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    revision integer NOT NULL,
    ordinal integer NOT NULL,
    id uuid NOT NULL,
    command_id uuid NOT NULL,
    stream text NOT NULL,
    type text NOT NULL,
    classification text NOT NULL,
    leaf bytea NOT NULL,
    bytes bytea NOT NULL,
    CONSTRAINT entry_position_key PRIMARY KEY (position),
    CONSTRAINT entry_stream_revision_key UNIQUE (stream, revision),
    CONSTRAINT entry_id_key UNIQUE (id),
    CONSTRAINT entry_command_ordinal_key UNIQUE (command_id, ordinal),
    CONSTRAINT entry_is_a_leaf CHECK (octet_length(leaf) = 32 AND octet_length(bytes) <= 65535)
);

-- Replay reads every byte once, in order: large entries lie beside the row, uncompressed.
ALTER TABLE log.entry ALTER COLUMN bytes SET STORAGE EXTERNAL;

COMMENT ON TABLE log.entry IS 'What was recorded, in order, for good. The bytes are the truth; the other columns are copies for indexes.';
COMMENT ON COLUMN log.entry.position IS 'From 0 without a gap: the Merkle leaf index.';
COMMENT ON COLUMN log.entry.ordinal IS 'Number within its command, from 0.';
COMMENT ON COLUMN log.entry.leaf IS 'SHA-256(0x00 || bytes), RFC 6962 section 2.1.';

-- One row. Whoever appends holds its lock until the commit, so positions become visible in order.
-- The room left on its page keeps the updates of it there (HOT).
CREATE TABLE log.head (
    one boolean NOT NULL DEFAULT true,
    size bigint NOT NULL,
    frontier bytea[] NOT NULL,
    last_recorded_at timestamptz,
    CONSTRAINT head_key PRIMARY KEY (one),
    CONSTRAINT head_is_one_row CHECK (one)
) WITH (fillfactor = 10);

INSERT INTO log.head (size, frontier) VALUES (0, '{}');

COMMENT ON COLUMN log.head.size IS 'Number of entries: positions 0 to size - 1 exist.';
COMMENT ON COLUMN log.head.frontier IS 'Roots of the perfect subtrees, largest first (a compact range).';

CREATE TABLE log.claim (
    scope text NOT NULL,
    value text NOT NULL,
    position bigint NOT NULL,
    CONSTRAINT claim_scope_value_key PRIMARY KEY (scope, value)
);

COMMENT ON TABLE log.claim IS 'What belongs to one thing only, across streams; position is the first entry of the command that took it.';

CREATE TABLE log.document (
    sha256 bytea NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    characters integer,
    sealed bytea NOT NULL,
    filed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT document_sha256_key PRIMARY KEY (sha256),
    CONSTRAINT document_sha256_is_sha256 CHECK (octet_length(sha256) = 32),
    CONSTRAINT document_size_from_zero CHECK (size >= 0),
    CONSTRAINT document_characters_from_zero CHECK (characters >= 0)
);

-- Ciphertext does not compress.
ALTER TABLE log.document ALTER COLUMN sealed SET STORAGE EXTERNAL;

COMMENT ON TABLE log.document IS 'Filed documents, sealed under the vault key document/<sha256 in hex>.';
COMMENT ON COLUMN log.document.characters IS 'Code points of the text that citations count in; null if it is not text.';

CREATE FUNCTION log.refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: what was recorded stays as it was', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              HINT = 'Record a correction or a retraction instead.';
END
$$;

-- The statement triggers refuse before a row is looked for, and TRUNCATE; the row triggers are what logical
-- replication fires. ALWAYS: also under session_replication_role = replica.
CREATE TRIGGER entry_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON log.entry
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();
CREATE TRIGGER entry_refuses_row_change BEFORE UPDATE OR DELETE ON log.entry
    FOR EACH ROW EXECUTE FUNCTION log.refuse_change();
CREATE TRIGGER head_refuses_removal BEFORE DELETE OR TRUNCATE ON log.head
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();
ALTER TABLE log.entry ENABLE ALWAYS TRIGGER entry_refuses_change;
ALTER TABLE log.entry ENABLE ALWAYS TRIGGER entry_refuses_row_change;
ALTER TABLE log.head ENABLE ALWAYS TRIGGER head_refuses_removal;

-- An entry on its way in: what its position does not decide.
CREATE TYPE log.new_entry AS (
    stream text,
    revision integer,
    id uuid,
    type text,
    command_id uuid,
    ordinal integer,
    classification text,
    opens boolean,
    leaf bytea,
    bytes bytea
);

COMMENT ON COLUMN log.new_entry.opens IS 'Whether it is the first of its stream in its batch: its stream must be at the revision before it.';

-- One batch of commands in one transaction and one round trip.
--
-- Locks the head and looks whether all is as the writer assumed: the log's size, each stream's revision, no command
-- recorded yet, no claim and no key taken. If so it writes everything, moves the head and notifies once. If not it
-- writes nothing and says what is, the head included. The lock is held until the transaction ends, so a batch sent
-- again because its outcome was unknown waits for the first attempt to end, and then finds its commands recorded or not.
--
-- The n-th of `_entries` gets position _size + n - 1. Claims, keys, salts and tokens are arrays in parallel, null if there
-- are none; tokens take the place of all that their owners had. Keys are made before any is destroyed. `_held_…` and claims without a position and keys that are not there are
-- asked for on behalf of commands that are not in the batch; but for command ids, what is found of these does not count.
-- It must not answer before its commit is durable, hence the check of synchronous_commit.
-- The planner is held to one look into an index for each thing asked (LATERAL … LIMIT 1, no sequential scan), in a plan
-- made once: its statistics may be those of an empty log.
CREATE FUNCTION log.append(
    _size bigint,
    _frontier bytea[],
    _recorded_at timestamptz,
    _entries log.new_entry[],
    _held_commands uuid[],
    _held_streams text[],
    _claim_scope text[],
    _claim_value text[],
    _claim_position bigint[],
    _key_owner text[],
    _key_wrapped bytea[],
    _key_master text[],
    _salt_command uuid[],
    _salt_owner text[],
    _salt bytea[],
    _token_owner text[],
    _token bytea[],
    _destroy text[],
    OUT appended boolean,
    OUT size bigint,
    OUT frontier bytea[],
    OUT last_recorded_at timestamptz,
    OUT found_streams text[],
    OUT found_revisions integer[],
    OUT known_commands uuid[],
    OUT taken_scopes text[],
    OUT taken_values text[],
    OUT taken_keys text[]
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    unmoved boolean;
    unclaimed boolean := true;
    unowned boolean := true;
BEGIN
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        RAISE EXCEPTION 'synchronous_commit is %: nothing is appended unless commits are durable',
            current_setting('synchronous_commit') USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    SELECT h.size, h.frontier, h.last_recorded_at INTO STRICT size, frontier, last_recorded_at
    FROM log.head AS h WHERE h.one FOR UPDATE;

    SELECT array_agg(asked.stream), array_agg(coalesce(latest.revision, -1)),
        coalesce(bool_and(coalesce(latest.revision, -1) = asked.revision), true)
    INTO found_streams, found_revisions, unmoved
    FROM (
        SELECT e.stream, e.revision - 1 AS revision FROM unnest(_entries) AS e WHERE e.opens
        UNION ALL
        SELECT held.stream, NULL FROM unnest(_held_streams) AS held (stream)
    ) AS asked
    LEFT JOIN LATERAL (
        SELECT e.revision FROM log.entry AS e WHERE e.stream = asked.stream ORDER BY e.revision DESC LIMIT 1
    ) AS latest ON true;

    SELECT array_agg(known.command_id) INTO known_commands
    FROM (
        SELECT e.command_id FROM unnest(_entries) AS e WHERE e.ordinal = 0
        UNION ALL
        SELECT held.command_id FROM unnest(_held_commands) AS held (command_id)
    ) AS asked
    CROSS JOIN LATERAL (
        SELECT e.command_id FROM log.entry AS e WHERE e.command_id = asked.command_id AND e.ordinal = 0 LIMIT 1
    ) AS known;

    IF cardinality(_claim_scope) > 0 THEN
        SELECT array_agg(c.scope), array_agg(c.value), coalesce(bool_and(asked.position IS NULL), true)
        INTO taken_scopes, taken_values, unclaimed
        FROM unnest(_claim_scope, _claim_value, _claim_position) AS asked (scope, value, position)
        CROSS JOIN LATERAL (
            SELECT c.scope, c.value FROM log.claim AS c WHERE c.scope = asked.scope AND c.value = asked.value LIMIT 1
        ) AS c;
    END IF;
    IF cardinality(_key_owner) > 0 THEN
        SELECT array_agg(k.owner), coalesce(bool_and(asked.wrapped IS NULL), true)
        INTO taken_keys, unowned
        FROM unnest(_key_owner, _key_wrapped) AS asked (owner, wrapped)
        CROSS JOIN LATERAL (SELECT k.owner FROM vault.key AS k WHERE k.owner = asked.owner LIMIT 1) AS k;
    END IF;

    appended := size = _size AND unmoved AND known_commands IS NULL AND unclaimed AND unowned;
    IF NOT appended THEN
        RETURN;
    END IF;

    INSERT INTO log.entry (
        position, recorded_at, revision, ordinal, id, command_id, stream, type, classification, leaf, bytes
    )
    SELECT _size + e.ordinality - 1, _recorded_at, e.revision, e.ordinal, e.id, e.command_id, e.stream, e.type,
        e.classification, e.leaf, e.bytes
    FROM unnest(_entries) WITH ORDINALITY AS e;

    IF cardinality(_claim_scope) > 0 THEN
        INSERT INTO log.claim (scope, value, position)
        SELECT c.scope, c.value, c.position
        FROM unnest(_claim_scope, _claim_value, _claim_position) AS c (scope, value, position)
        WHERE c.position IS NOT NULL;
    END IF;
    IF cardinality(_key_owner) > 0 THEN
        INSERT INTO vault.key (owner, wrapped, master_key_id)
        SELECT k.owner, k.wrapped, k.master_key_id
        FROM unnest(_key_owner, _key_wrapped, _key_master) AS k (owner, wrapped, master_key_id)
        WHERE k.wrapped IS NOT NULL;
    END IF;
    IF cardinality(_salt_owner) > 0 THEN
        INSERT INTO vault.command_salt (command_id, owner, salt)
        SELECT s.command_id, s.owner, s.salt
        FROM unnest(_salt_command, _salt_owner, _salt) AS s (command_id, owner, salt);
    END IF;
    IF cardinality(_token_owner) > 0 THEN
        DELETE FROM vault.token AS t WHERE t.owner = ANY (_token_owner);
        INSERT INTO vault.token (owner, token)
        SELECT t.owner, t.token FROM unnest(_token_owner, _token) AS t (owner, token);
    END IF;
    IF cardinality(_destroy) > 0 THEN
        DELETE FROM vault.key AS k WHERE k.owner = ANY (_destroy);
        DELETE FROM vault.command_salt AS s WHERE s.owner = ANY (_destroy);
    END IF;

    UPDATE log.head AS h
    SET size = _size + cardinality(_entries), frontier = _frontier, last_recorded_at = _recorded_at
    WHERE h.one;
    -- All of this the writer knows.
    frontier := NULL;
    found_streams := NULL;
    found_revisions := NULL;
    PERFORM pg_notify('registry_log', '');
END
$$;

REVOKE ALL ON FUNCTION log.append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.append TO registry_service;
REVOKE ALL ON FUNCTION log.refuse_change() FROM PUBLIC;
GRANT USAGE ON SCHEMA log TO registry_service, registry_projector;
GRANT SELECT, INSERT ON log.entry, log.claim, log.document TO registry_service;
GRANT SELECT, UPDATE ON log.head TO registry_service;
GRANT SELECT ON log.entry, log.head TO registry_projector;
