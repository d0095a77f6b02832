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

-- Gone with the key of its owner: what is erased is not found either.
CREATE TABLE vault.token (
    owner text NOT NULL,
    token bytea NOT NULL,
    CONSTRAINT token_key PRIMARY KEY (owner, token),
    CONSTRAINT token_owner_has_a_key FOREIGN KEY (owner) REFERENCES vault.key (owner) ON DELETE CASCADE
);
CREATE INDEX token_token ON vault.token (token);

COMMENT ON TABLE vault.token IS 'Blind tokens: an HMAC of each word by which an owner is to be found, under a key from outside the database.';

GRANT USAGE ON SCHEMA vault TO registry_service;
GRANT SELECT, INSERT, DELETE ON vault.key, vault.command_salt, vault.token TO registry_service;
