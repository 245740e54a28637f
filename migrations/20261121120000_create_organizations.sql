-- Organizations, people, memberships, and the way tenant tables protect themselves.

-- The organization of the running transaction; null (so: no rows) when none was set.
CREATE FUNCTION current_organization() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.org_id', true), '')::uuid;

-- The person of the running transaction; null when none was set.
CREATE FUNCTION current_person() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.user_id', true), '')::uuid;

-- Row-level security, enabled and forced, for a table with an organization_id. The owner sees all rows, so that
-- data migrations and foreign key checks work under FORCE; the global reader reads all.
CREATE FUNCTION protect_tenant_table(target regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY owner_all ON %s TO syncwatch_owner USING (true) WITH CHECK (true)', target);
    EXECUTE format('CREATE POLICY maintenance_all ON %s TO syncwatch_maintenance USING (true) WITH CHECK (true)', target);
    EXECUTE format('CREATE POLICY reader_all ON %s FOR SELECT TO syncwatch_reader USING (true)', target);
    EXECUTE format(
        $policy$CREATE POLICY own_organization ON %s TO syncwatch_app
            USING (organization_id = nullif(current_setting('app.org_id', true), '')::uuid)
            WITH CHECK (organization_id = nullif(current_setting('app.org_id', true), '')::uuid)$policy$,
        target
    );
END
$$;

REVOKE ALL ON FUNCTION protect_tenant_table(regclass) FROM PUBLIC;

CREATE TABLE organizations (
    organization_id uuid PRIMARY KEY,
    name            text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    time_zone       text NOT NULL DEFAULT 'Europe/Oslo',
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX organizations_name ON organizations (lower(name));
SELECT protect_tenant_table('organizations');
GRANT SELECT ON organizations TO syncwatch_app, syncwatch_reader;

-- People may belong to several organizations, so a person is no tenant row; who may see one is decided by the policies.
CREATE TABLE users (
    id                uuid PRIMARY KEY,
    email             text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 320),
    name              text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    password_hash     text NOT NULL,
    language          text NOT NULL DEFAULT 'en' CHECK (language IN ('en', 'nb')),
    email_on_incident boolean NOT NULL DEFAULT true,
    created_at        timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email ON users (lower(email));

CREATE TABLE memberships (
    organization_id uuid NOT NULL REFERENCES organizations,
    user_id         uuid NOT NULL REFERENCES users,
    role            text NOT NULL CHECK (role IN ('org_viewer', 'org_admin', 'global_admin')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, user_id)
);
-- Signing in looks up a person's organizations.
CREATE INDEX memberships_user ON memberships (user_id);
SELECT protect_tenant_table('memberships');
CREATE POLICY own_memberships ON memberships FOR SELECT TO syncwatch_app USING (user_id = current_person());
GRANT SELECT ON memberships TO syncwatch_app, syncwatch_reader;

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_all ON users TO syncwatch_owner USING (true) WITH CHECK (true);
CREATE POLICY self_or_colleague ON users FOR SELECT TO syncwatch_app USING (
    id = current_person()
    OR EXISTS (
        SELECT FROM memberships
        WHERE memberships.user_id = users.id AND memberships.organization_id = current_organization()
    )
);
CREATE POLICY self_update ON users FOR UPDATE TO syncwatch_app
    USING (id = current_person()) WITH CHECK (id = current_person());
GRANT SELECT (id, email, name, language, email_on_incident, created_at) ON users TO syncwatch_app;
GRANT UPDATE (language, email_on_incident) ON users TO syncwatch_app;

-- Organizations a person may choose from at sign-in.
CREATE POLICY own_organizations ON organizations FOR SELECT TO syncwatch_app USING (
    EXISTS (
        SELECT FROM memberships
        WHERE memberships.organization_id = organizations.organization_id AND memberships.user_id = current_person()
    )
);

-- Sign-in knows no person yet: the one narrow look-up by e-mail address.
CREATE FUNCTION login_lookup(wanted text) RETURNS TABLE (user_id uuid, password_hash text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public
BEGIN ATOMIC
    SELECT users.id, users.password_hash FROM users WHERE lower(users.email) = lower(wanted);
END;
REVOKE ALL ON FUNCTION login_lookup(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION login_lookup(text) TO syncwatch_app;
