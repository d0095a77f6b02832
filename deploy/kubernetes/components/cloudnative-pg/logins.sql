-- The logins of the registry's processes, each acting as its role from the start: what `registry provision` does where
-- there is an administrator to run it. Their passwords are the operator's to set, from the secrets that cluster.yaml names.

-- registry_migrate is there already: the operator makes the database for it.
GRANT registry_owner TO registry_migrate;
ALTER ROLE registry_migrate SET role = 'registry_owner';

CREATE ROLE registry_serve LOGIN IN ROLE registry_service;
ALTER ROLE registry_serve SET role = 'registry_service';

CREATE ROLE registry_project LOGIN IN ROLE registry_projector;
ALTER ROLE registry_project SET role = 'registry_projector';

CREATE ROLE registry_report LOGIN IN ROLE registry_reader;
ALTER ROLE registry_report SET role = 'registry_reader';
