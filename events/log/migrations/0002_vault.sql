-- Keys of sealed data, apart from the log so that they can be destroyed, and backed up apart.

CREATE SCHEMA vault;

CREATE TABLE vault.key (
    owner text NOT NULL,
    wrapped bytea NOT NULL,
    master_key_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT key_owner_key PRIMARY KEY (owner)
);

COMMENT ON TABLE vault.key IS 'One data key per owner (person/<id>, document/<sha256 in hex>), wrapped by a master key from outside the database.';

CREATE TABLE vault.command_salt (
    command_id uuid NOT NULL,
    owner text NOT NULL,
    salt bytea NOT NULL,
    CONSTRAINT command_salt_key PRIMARY KEY (command_id, owner)
);

-- Erasing somebody finds their salts by owner.
CREATE INDEX command_salt_owner ON vault.command_salt (owner);

COMMENT ON TABLE vault.command_salt IS 'What salts the hash of a command that names somebody, so that the hash in the log tells nothing once the salt is gone.';

GRANT USAGE ON SCHEMA vault TO registry_service;
GRANT SELECT, INSERT, DELETE ON vault.key, vault.command_salt TO registry_service;
