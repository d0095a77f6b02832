-- Who may call: bearer tokens, of which only the hash is kept.

CREATE SCHEMA access;

CREATE TABLE access.token (
    id text NOT NULL,
    name text NOT NULL,
    hash bytea NOT NULL,
    roles text[] NOT NULL,
    party text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT token_id_key PRIMARY KEY (id),
    CONSTRAINT token_hash_key UNIQUE (hash),
    CONSTRAINT token_hash_is_sha256 CHECK (octet_length(hash) = 32),
    CONSTRAINT token_has_a_role CHECK (cardinality(roles) > 0)
);

COMMENT ON TABLE access.token IS 'Bearer tokens: SHA-256 of the token, what it may do, for which party, until when.';

GRANT USAGE ON SCHEMA access TO registry_service;
GRANT SELECT, INSERT ON access.token TO registry_service;
GRANT UPDATE (revoked_at) ON access.token TO registry_service;
