-- What proves the log: the finished tiles of its Merkle tree, the checkpoints that were signed, and by which keys.
--
-- Tiles are copies, made of the leaves for proofs to be quick; everything else here is added once and stays.

CREATE TABLE log.tile (
    level smallint NOT NULL,
    index bigint NOT NULL,
    root bytea NOT NULL,
    hashes bytea NOT NULL,
    CONSTRAINT tile_key PRIMARY KEY (level, index),
    CONSTRAINT tile_is_a_place CHECK (level BETWEEN 0 AND 63 AND index >= 0),
    CONSTRAINT tile_is_full CHECK (octet_length(hashes) = 8192 AND octet_length(root) = 32)
);

-- Hashes do not compress.
ALTER TABLE log.tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

COMMENT ON TABLE log.tile IS 'Full tiles (C2SP tlog-tiles): 256 hashes in a row of one level; partial ones are made when asked for.';
COMMENT ON COLUMN log.tile.root IS 'The root over the tile''s hashes: what it is in the level above.';

CREATE TABLE log.origin (
    number integer GENERATED ALWAYS AS IDENTITY,
    origin text NOT NULL,
    size bigint NOT NULL,
    replaces text,
    last_checkpoint text,
    reason text NOT NULL,
    adopted_at timestamptz NOT NULL,
    CONSTRAINT origin_number_key PRIMARY KEY (number),
    CONSTRAINT origin_origin_key UNIQUE (origin),
    CONSTRAINT origin_size_from_zero CHECK (size >= 0)
);

COMMENT ON TABLE log.origin IS 'Under which names checkpoints were signed. The last one holds; without any, that of the settings.';
COMMENT ON COLUMN log.origin.size IS 'How many entries the log had when the name was taken.';
COMMENT ON COLUMN log.origin.last_checkpoint IS 'The last checkpoint that is known to have been signed under the name before, whether this log has it or not.';

CREATE TABLE log.verifier (
    number integer GENERATED ALWAYS AS IDENTITY,
    key text NOT NULL,
    added_at timestamptz NOT NULL,
    CONSTRAINT verifier_number_key PRIMARY KEY (number),
    CONSTRAINT verifier_key_key UNIQUE (key)
);

COMMENT ON TABLE log.verifier IS 'The keys that checkpoints are verified with, as C2SP signed-note writes them: what was signed with an old one stays verifiable.';

CREATE TABLE log.checkpoint (
    origin text NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL,
    signed_at timestamptz NOT NULL,
    CONSTRAINT checkpoint_origin_size_key PRIMARY KEY (origin, size),
    CONSTRAINT checkpoint_size_from_zero CHECK (size >= 0),
    CONSTRAINT checkpoint_root_is_sha256 CHECK (octet_length(root) = 32)
);

COMMENT ON TABLE log.checkpoint IS 'Tree heads that were signed (C2SP tlog-checkpoint), one a size: two that disagree cannot stand here.';

CREATE TABLE log.signature (
    origin text NOT NULL,
    size bigint NOT NULL,
    name text NOT NULL,
    key_id bytea NOT NULL,
    blob bytea NOT NULL,
    added_at timestamptz NOT NULL,
    CONSTRAINT signature_key PRIMARY KEY (origin, size, name, key_id),
    CONSTRAINT signature_is_of_a_checkpoint FOREIGN KEY (origin, size) REFERENCES log.checkpoint (origin, size),
    CONSTRAINT signature_key_id_is_short CHECK (octet_length(key_id) = 4)
);

COMMENT ON TABLE log.signature IS 'Signature lines of checkpoints: the log''s own, and those of the witnesses that cosigned.';

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['tile', 'origin', 'verifier', 'checkpoint', 'signature'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON log.%I
            FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change()', relation || '_refuses_change', relation);
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON log.%I
            FOR EACH ROW EXECUTE FUNCTION log.refuse_change()', relation || '_refuses_row_change', relation);
        EXECUTE format('ALTER TABLE log.%I ENABLE ALWAYS TRIGGER %I', relation, relation || '_refuses_change');
        EXECUTE format('ALTER TABLE log.%I ENABLE ALWAYS TRIGGER %I', relation, relation || '_refuses_row_change');
    END LOOP;
END
$$;

GRANT SELECT, INSERT ON log.tile, log.origin, log.verifier, log.checkpoint, log.signature TO registry_service;
