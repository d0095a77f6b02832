-- The registry's roles, and what they may do with the database that this is run in.
--
-- An administrator (a superuser, or a role with CREATEROLE that owns the database) runs it once, before
-- the first migration and again after an upgrade that changed it; running it again does no harm:
--
--     createdb --template=template0 --encoding=UTF8 --locale=C registry
--     psql --dbname=registry --single-transaction --set=ON_ERROR_STOP=1 --file=roles.sql
--
-- Nobody logs in as one of these roles. Logins are made as members, one for each process that needs one,
-- and act as the role from the start, so that what they make belongs to it:
--
--     CREATE ROLE registry_migrate LOGIN PASSWORD '...' IN ROLE registry_owner;
--     ALTER ROLE registry_migrate SET role = 'registry_owner';
--
-- and likewise registry_serve in registry_service, registry_project in registry_projector and registry_report in
-- registry_reader. `registry provision` does all of this.
--
--   registry_owner      owns the database and the log's schemas; `registry migrate`
--   registry_service    `registry serve`: reads everything, adds to the log; migrations grant it table by table
--   registry_projector  `registry project`: reads the log, makes and owns the read models
--   registry_reader     reads the read models and nothing else; for reporting

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['registry_owner', 'registry_service', 'registry_projector', 'registry_reader'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- somebody else made it meanwhile, in another database of this cluster
        END;
    END LOOP;

    -- An administrator who is not a superuser has to be a member of the owner to give it the database.
    IF NOT pg_has_role(current_user, 'registry_owner', 'USAGE') THEN
        EXECUTE format('GRANT registry_owner TO %I', current_user);
    END IF;
END
$$;

DO $$
BEGIN
    IF current_database() IN ('postgres', 'template0', 'template1') THEN
        RAISE EXCEPTION 'this is the database %: run roles.sql in the registry''s own database', current_database();
    END IF;
    IF getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'the database % is encoded in %: the registry needs one in UTF8',
            current_database(), getdatabaseencoding();
    END IF;
    EXECUTE format('ALTER DATABASE %I OWNER TO registry_owner', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO registry_service, registry_projector, registry_reader', current_database()
    );
    EXECUTE format('GRANT CREATE ON DATABASE %I TO registry_projector', current_database());
END
$$;
