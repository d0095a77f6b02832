-- One function for every batch, in place of one that calls another; a batch that comes before the one ahead gives way.

-- `log.append_batch` has the parameters of `log.append` (migration 0001) after those of `log.append_on` (0009, and 0010 for
-- `_after`), and their answer. A batch that can be recorded is looked at once; only of one that cannot are the reasons
-- gathered. The two others stay for programs of before this migration, until none is left.
--
-- Two batches of a writer come over two connections, and PostgreSQL may take up the second one first. That one gives
-- way until the one ahead has the lock, for a fifth of a second at least; then it is answered as any that assumed too much.
-- That somebody has it is told by an advisory lock, as a row's cannot be asked about without taking it. Nobody waits for
-- that one: any login may take it, and must not be able to keep others from appending.
CREATE FUNCTION log.append_batch(
    _after bytea[],
    _read_stream text[],
    _read_revision integer[],
    _absent text[],
    _absent_since bigint[],
    _needed text[],
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
    OUT overtaken text[],
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
    append CONSTANT bigint := 3510617700008342194;  -- the mark of whoever holds the head's lock
    as_assumed boolean;
    unmoved boolean;
    unclaimed boolean := true;
    unowned boolean := true;
BEGIN
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        RAISE EXCEPTION 'synchronous_commit is %: nothing is appended unless commits are durable',
            current_setting('synchronous_commit') USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    IF _after IS NOT NULL THEN
        FOR turn IN 1 .. 200 LOOP
            EXIT WHEN NOT pg_try_advisory_lock(append);  -- the one ahead is at work, or another writer
            PERFORM pg_advisory_unlock(append);
            EXIT WHEN (SELECT h.size >= _size FROM log.head AS h WHERE h.one);
            PERFORM pg_sleep(0.001);
        END LOOP;
    END IF;
    SELECT h.size, h.frontier, h.last_recorded_at, coalesce(h.frontier = _after, _after IS NULL)
    INTO STRICT size, frontier, last_recorded_at, as_assumed
    FROM log.head AS h WHERE h.one FOR UPDATE;
    PERFORM pg_try_advisory_xact_lock(append);

    IF as_assumed AND (cardinality(_read_stream) > 0 OR cardinality(_absent) > 0 OR cardinality(_needed) > 0) THEN
        SELECT array_agg(rested.upon) INTO overtaken
        FROM (
            SELECT asked.stream AS upon
            FROM unnest(_read_stream, _read_revision) AS asked (stream, revision)
            LEFT JOIN LATERAL (
                SELECT e.revision FROM log.entry AS e WHERE e.stream = asked.stream ORDER BY e.revision DESC LIMIT 1
            ) AS latest ON true
            WHERE coalesce(latest.revision, -1) <> asked.revision
            UNION ALL
            SELECT asked.absent
            FROM unnest(_absent, _absent_since) AS asked (absent, since)
            CROSS JOIN LATERAL (
                SELECT FROM log.entry AS e
                WHERE e.position >= asked.since AND position(convert_to(asked.absent, 'UTF8') IN e.bytes) > 0
                LIMIT 1
            ) AS mention
            UNION ALL
            SELECT asked.owner
            FROM unnest(_needed) AS asked (owner)
            WHERE NOT EXISTS (SELECT FROM vault.key AS k WHERE k.owner = asked.owner)
        ) AS rested;
    END IF;

    SELECT coalesce(bool_and(coalesce(latest.revision, -1) = e.revision - 1 OR NOT e.opens), true)
        AND count(known.recorded) = 0
    INTO unmoved
    FROM unnest(_entries) AS e
    LEFT JOIN LATERAL (
        SELECT l.revision FROM log.entry AS l WHERE e.opens AND l.stream = e.stream ORDER BY l.revision DESC LIMIT 1
    ) AS latest ON true
    LEFT JOIN LATERAL (
        SELECT true AS recorded FROM log.entry AS k
        WHERE e.ordinal = 0 AND k.command_id = e.command_id AND k.ordinal = 0 LIMIT 1
    ) AS known ON true;

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

    appended := size = _size AND as_assumed AND overtaken IS NULL AND unmoved AND unclaimed AND unowned;
    IF NOT appended THEN
        SELECT array_agg(asked.stream), array_agg(coalesce(latest.revision, -1))
        INTO found_streams, found_revisions
        FROM (
            SELECT e.stream FROM unnest(_entries) AS e WHERE e.opens
            UNION ALL
            SELECT held.stream FROM unnest(_held_streams) AS held (stream)
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
    taken_scopes := NULL;
    taken_values := NULL;
    taken_keys := NULL;
    PERFORM pg_notify('registry_log', '');
END
$$;

REVOKE ALL ON FUNCTION log.append_batch FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.append_batch TO registry_service;
