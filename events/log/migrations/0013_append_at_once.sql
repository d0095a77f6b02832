-- A batch that can be recorded is written at once; only of one that cannot is it looked at why (ADR 0031).

-- `log.append_batch` with the parameters, the guarantees and the answers that it had (migration 0011): a program of before
-- this migration goes on with it.
--
-- What was looked up before it was written is now told by the writing itself. Moving the head takes its lock and finds
-- out whether it is as assumed; a command that is recorded, a stream that has moved on, a claim or a key that is taken are
-- what the unique constraints refuse. They are checked under the head's lock, so nobody is waited for. Then all of it is
-- undone, to the savepoint that a block with EXCEPTION is, and what is is gathered under the lock, as before. Of a stream
-- that has entries it remains to see that the one ahead is there: revisions have no gap.
--
-- The planner is held to one look into an index for each thing asked, in a plan made once: its statistics may be those of an
-- empty log. Hence a scalar subquery for the entry ahead: EXISTS may be planned as a scan of all entries.
CREATE OR REPLACE FUNCTION log.append_batch(
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
    written bigint;
    refused text;
BEGIN
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        RAISE EXCEPTION 'synchronous_commit is %: nothing is appended unless commits are durable',
            current_setting('synchronous_commit') USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    -- A batch that comes before the one ahead of it gives way (ADR 0022).
    IF _after IS NOT NULL THEN
        FOR turn IN 1 .. 200 LOOP
            EXIT WHEN NOT pg_try_advisory_lock(append);  -- the one ahead is at work, or another writer
            PERFORM pg_advisory_unlock(append);
            EXIT WHEN (SELECT h.size >= _size FROM log.head AS h WHERE h.one);
            PERFORM pg_sleep(0.001);
        END LOOP;
    END IF;

    BEGIN
        IF _after IS NOT NULL THEN  -- as an UPDATE does not wait for a row that does not look yet as it is to look
            PERFORM FROM log.head AS h WHERE h.one FOR UPDATE;
        END IF;
        UPDATE log.head AS h
        SET size = _size + cardinality(_entries), frontier = _frontier, last_recorded_at = _recorded_at
        WHERE h.one AND h.size = _size AND (_after IS NULL OR h.frontier = _after);
        appended := FOUND;

        IF appended THEN
            PERFORM pg_try_advisory_xact_lock(append);
            IF cardinality(_read_stream) > 0 OR cardinality(_absent) > 0 OR cardinality(_needed) > 0 THEN
                SELECT array_agg(rested.upon) INTO overtaken
                FROM (
                    SELECT asked.stream AS upon
                    FROM unnest(_read_stream, _read_revision) AS asked (stream, revision)
                    LEFT JOIN LATERAL (
                        SELECT e.revision FROM log.entry AS e
                        WHERE e.stream = asked.stream ORDER BY e.revision DESC LIMIT 1
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

            INSERT INTO log.entry (
                position, recorded_at, revision, ordinal, id, command_id, stream, type, classification, leaf, bytes
            )
            SELECT _size + e.ordinality - 1, _recorded_at, e.revision, e.ordinal, e.id, e.command_id, e.stream, e.type,
                e.classification, e.leaf, e.bytes
            FROM unnest(_entries) WITH ORDINALITY AS e
            WHERE overtaken IS NULL AND (
                NOT e.opens
                OR e.revision = 0
                OR (SELECT p.revision FROM log.entry AS p WHERE p.stream = e.stream AND p.revision = e.revision - 1) IS NOT NULL
            );
            GET DIAGNOSTICS written = ROW_COUNT;
            IF written < cardinality(_entries) THEN
                RAISE SQLSTATE 'RG001';
            END IF;

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

            PERFORM pg_notify('registry_log', '');
            RETURN;
        END IF;
    EXCEPTION
        WHEN SQLSTATE 'RG001' THEN  -- what a command rests on is not so, or a stream is not as long as assumed
            appended := false;
        WHEN unique_violation THEN
            GET STACKED DIAGNOSTICS refused = CONSTRAINT_NAME;
            IF refused NOT IN (
                'entry_stream_revision_key', 'entry_command_ordinal_key', 'entry_id_key', 'claim_scope_value_key',
                'key_owner_key'
            ) THEN
                RAISE;  -- nothing that a command could be refused for
            END IF;
            appended := false;
    END;

    -- Nothing was written. The lock is taken here whatever was found, as it is WAL: an answer that writes nothing ends in a
    -- commit all the same, which waits for the standbys (ADR 0029).
    SELECT h.size, h.frontier, h.last_recorded_at INTO STRICT size, frontier, last_recorded_at
    FROM log.head AS h WHERE h.one FOR UPDATE;
    PERFORM pg_try_advisory_xact_lock(append);

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

    IF refused = 'entry_id_key' AND known_commands IS NULL THEN  -- another command's entry has it: nothing found says so
        RAISE unique_violation
            USING CONSTRAINT = refused, MESSAGE = 'duplicate key value violates unique constraint "entry_id_key"';
    END IF;

    SELECT array_agg(c.scope), array_agg(c.value) INTO taken_scopes, taken_values
    FROM unnest(_claim_scope, _claim_value) AS asked (scope, value)
    CROSS JOIN LATERAL (
        SELECT c.scope, c.value FROM log.claim AS c WHERE c.scope = asked.scope AND c.value = asked.value LIMIT 1
    ) AS c;

    SELECT array_agg(k.owner) INTO taken_keys
    FROM unnest(_key_owner) AS asked (owner)
    CROSS JOIN LATERAL (SELECT k.owner FROM vault.key AS k WHERE k.owner = asked.owner LIMIT 1) AS k;
END
$$;
