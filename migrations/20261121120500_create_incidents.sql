-- Incidents, in-app notifications and the e-mail outbox.

CREATE TABLE incidents (
    organization_id       uuid NOT NULL,
    id                    uuid NOT NULL,
    integration_config_id uuid NOT NULL,
    kind                  text NOT NULL CHECK (kind IN ('consecutive_failures', 'stale')),
    sync_id               uuid,
    error_message         text CHECK (char_length(error_message) <= 4000),
    opened_at             timestamptz NOT NULL,
    resolved_at           timestamptz CHECK (resolved_at >= opened_at),
    acknowledged_at       timestamptz,
    acknowledged_by       uuid,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, integration_config_id) REFERENCES integration_configs (organization_id, id),
    CONSTRAINT acknowledgement_is_whole CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
);
-- At most one open incident per integration.
CREATE UNIQUE INDEX incidents_one_open ON incidents (organization_id, integration_config_id) WHERE resolved_at IS NULL;
CREATE INDEX incidents_latest ON incidents (organization_id, opened_at DESC, id DESC);
SELECT protect_tenant_table('incidents');
GRANT SELECT, INSERT ON incidents TO syncwatch_app;
GRANT UPDATE (resolved_at, acknowledged_at, acknowledged_by) ON incidents TO syncwatch_app;
GRANT SELECT ON incidents TO syncwatch_reader;

CREATE TABLE notifications (
    organization_id      uuid NOT NULL,
    user_id              uuid NOT NULL,
    id                   uuid NOT NULL,
    kind                 text NOT NULL CHECK (kind IN ('incident_opened', 'incident_resolved')),
    incident_id          uuid NOT NULL,
    sync_id              uuid,
    error_message        text CHECK (char_length(error_message) <= 4000),
    consecutive_failures integer NOT NULL CHECK (consecutive_failures >= 0),
    created_at           timestamptz NOT NULL,
    read_at              timestamptz,
    PRIMARY KEY (organization_id, user_id, id),
    FOREIGN KEY (organization_id, incident_id) REFERENCES incidents (organization_id, id),
    FOREIGN KEY (organization_id, user_id) REFERENCES memberships (organization_id, user_id),
    -- An incident says a thing once to each person.
    UNIQUE (organization_id, user_id, incident_id, kind)
);
CREATE INDEX notifications_unread ON notifications (organization_id, user_id) WHERE read_at IS NULL;
SELECT protect_tenant_table('notifications');
GRANT SELECT, INSERT ON notifications TO syncwatch_app;
GRANT UPDATE (read_at) ON notifications TO syncwatch_app;

CREATE TABLE email_outbox (
    organization_id uuid NOT NULL,
    id              uuid NOT NULL,
    user_id         uuid NOT NULL,
    incident_id     uuid NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('incident_opened', 'incident_resolved')),
    language        text NOT NULL,
    -- Fixed before the first try, so that a repetition is recognised as one.
    message_id      text NOT NULL,
    in_reply_to     text,
    subject         text NOT NULL,
    body_text       text NOT NULL,
    body_html       text NOT NULL,
    state           text NOT NULL CHECK (state IN ('waiting', 'sending', 'sent', 'failed', 'unknown')),
    tries           integer NOT NULL DEFAULT 0,
    last_answer     text,
    created_at      timestamptz NOT NULL,
    sent_at         timestamptz,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, user_id, incident_id, kind),
    FOREIGN KEY (organization_id, incident_id) REFERENCES incidents (organization_id, id),
    FOREIGN KEY (organization_id, user_id) REFERENCES memberships (organization_id, user_id),
    CONSTRAINT sent_at_set_when_sent CHECK ((sent_at IS NULL) = (state <> 'sent'))
);
SELECT protect_tenant_table('email_outbox');
GRANT SELECT, INSERT ON email_outbox TO syncwatch_app;
GRANT UPDATE (state, tries, last_answer, sent_at) ON email_outbox TO syncwatch_app;

-- Read by the dispatcher before any organization is known: ids and moments, nothing else.
CREATE TABLE email_queue (
    organization_id uuid NOT NULL,
    email_id        uuid NOT NULL,
    next_try_at     timestamptz NOT NULL,
    -- Set while a dispatcher has it.
    locked_until    timestamptz,
    PRIMARY KEY (organization_id, email_id)
);
CREATE INDEX email_queue_due ON email_queue (next_try_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON email_queue TO syncwatch_app;
