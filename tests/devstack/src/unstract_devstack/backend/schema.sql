-- Times: seconds since the epoch, shown by the views below; what is set up by hand holds its times as they are shown.
CREATE TABLE IF NOT EXISTS organizations (
    pk INTEGER PRIMARY KEY AUTOINCREMENT, organization_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, platform_key TEXT,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z')));
CREATE TABLE IF NOT EXISTS configurations (
    organization_pk INTEGER NOT NULL, key TEXT NOT NULL, value JSON NOT NULL, PRIMARY KEY (organization_pk, key));
CREATE TABLE IF NOT EXISTS workflows (
    id TEXT PRIMARY KEY, organization_pk INTEGER NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '', use_file_history BOOLEAN NOT NULL DEFAULT 1,
    history_limit INTEGER NOT NULL DEFAULT 3, fields JSON NOT NULL DEFAULT '[]',
    source_root TEXT, source_folder TEXT, destination_folder TEXT, destination_table TEXT,
    max_files INTEGER NOT NULL DEFAULT 100, created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z')),
    modified_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z')));
CREATE TABLE IF NOT EXISTS endpoints (
    id TEXT PRIMARY KEY, workflow_id TEXT NOT NULL, type TEXT NOT NULL, connection_type TEXT NOT NULL,
    configuration JSON NOT NULL DEFAULT '{}', connector_id TEXT, connector_name TEXT, connector_metadata JSON);
CREATE INDEX IF NOT EXISTS endpoints_workflow ON endpoints (workflow_id);
CREATE TABLE IF NOT EXISTS tool_instances (
    id TEXT PRIMARY KEY, workflow_id TEXT NOT NULL, tool_id TEXT NOT NULL, step INTEGER NOT NULL DEFAULT 1,
    status TEXT NOT NULL DEFAULT 'Ready to start', version TEXT NOT NULL DEFAULT '1',
    metadata JSON NOT NULL DEFAULT '{}', fault TEXT);
CREATE INDEX IF NOT EXISTS tool_instances_workflow ON tool_instances (workflow_id);
CREATE TABLE IF NOT EXISTS pipelines (
    id TEXT PRIMARY KEY, organization_pk INTEGER NOT NULL, workflow_id TEXT NOT NULL, name TEXT NOT NULL,
    type TEXT NOT NULL, active BOOLEAN NOT NULL DEFAULT 1, last_run_time TEXT,
    last_run_status TEXT NOT NULL DEFAULT 'YET_TO_START',
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z')),
    modified_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z')));
CREATE TABLE IF NOT EXISTS api_deployments (
    id TEXT PRIMARY KEY, organization_pk INTEGER NOT NULL, workflow_id TEXT NOT NULL, api_name TEXT NOT NULL,
    display_name TEXT NOT NULL, is_active BOOLEAN NOT NULL DEFAULT 1,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z')),
    modified_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z')), UNIQUE (organization_pk, api_name));
CREATE TABLE IF NOT EXISTS executions (
    id TEXT PRIMARY KEY, organization_pk INTEGER NOT NULL, workflow_id TEXT NOT NULL, pipeline_id TEXT, task_id TEXT,
    execution_mode TEXT NOT NULL DEFAULT 'QUEUE', execution_method TEXT NOT NULL DEFAULT 'DIRECT',
    execution_log_id TEXT NOT NULL DEFAULT '', status TEXT NOT NULL DEFAULT 'PENDING',
    result_acknowledged BOOLEAN NOT NULL DEFAULT 0, total_files INTEGER NOT NULL DEFAULT 0,
    successful_files INTEGER, failed_files INTEGER, error_message TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0, execution_time REAL NOT NULL DEFAULT 0.0, queue_message_id TEXT,
    tags JSON NOT NULL DEFAULT '[]', created REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0),
    modified REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0));
CREATE INDEX IF NOT EXISTS executions_workflow ON executions (workflow_id, status);
CREATE TABLE IF NOT EXISTS file_executions (
    id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, file_name TEXT NOT NULL DEFAULT '', file_path TEXT,
    file_size INTEGER, file_hash TEXT, provider_file_uuid TEXT, mime_type TEXT, fs_metadata JSON,
    status TEXT NOT NULL DEFAULT '', execution_time REAL, execution_error TEXT,
    created REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0),
    modified REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0));
CREATE UNIQUE INDEX IF NOT EXISTS file_executions_hash ON file_executions (execution_id, file_hash, file_path);
CREATE UNIQUE INDEX IF NOT EXISTS file_executions_provider
    ON file_executions (execution_id, provider_file_uuid, file_path);
CREATE INDEX IF NOT EXISTS file_executions_uuid ON file_executions (provider_file_uuid);
CREATE TABLE IF NOT EXISTS file_histories (
    id TEXT PRIMARY KEY, workflow_id TEXT NOT NULL, cache_key TEXT NOT NULL, provider_file_uuid TEXT,
    status TEXT NOT NULL, execution_count INTEGER NOT NULL DEFAULT 1, error TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT '', metadata TEXT NOT NULL DEFAULT '', file_path TEXT,
    created REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0),
    modified REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0));
CREATE UNIQUE INDEX IF NOT EXISTS file_histories_path ON file_histories (workflow_id, cache_key, file_path);
CREATE INDEX IF NOT EXISTS file_histories_provider ON file_histories (workflow_id, provider_file_uuid);
CREATE TABLE IF NOT EXISTS usage (
    id INTEGER PRIMARY KEY AUTOINCREMENT, organization_pk INTEGER NOT NULL, file_execution_id TEXT NOT NULL,
    embedding_tokens INTEGER NOT NULL DEFAULT 0, prompt_tokens INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0, cost REAL NOT NULL DEFAULT 0.0, pages INTEGER);
CREATE INDEX IF NOT EXISTS usage_file ON usage (file_execution_id);
CREATE TABLE IF NOT EXISTS notifications (
    id TEXT PRIMARY KEY, pipeline_id TEXT, api_id TEXT, platform TEXT NOT NULL, url TEXT NOT NULL,
    authorization_type TEXT NOT NULL DEFAULT 'NONE', authorization_key TEXT, authorization_header TEXT,
    max_retries INTEGER NOT NULL DEFAULT 0, is_active BOOLEAN NOT NULL DEFAULT 1,
    notify_on_failures BOOLEAN NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS notification_buffer (
    id TEXT PRIMARY KEY, organization_pk INTEGER NOT NULL, notification_id TEXT NOT NULL, platform TEXT NOT NULL,
    event JSON NOT NULL, status TEXT NOT NULL DEFAULT 'PENDING', attempts INTEGER NOT NULL DEFAULT 0,
    flush_after REAL NOT NULL, sending_since REAL,
    created REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0));
CREATE INDEX IF NOT EXISTS notification_buffer_due ON notification_buffer (status, flush_after);
CREATE TABLE IF NOT EXISTS effects (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, operation TEXT NOT NULL, organization TEXT,
    execution_id TEXT, file TEXT, key TEXT, detail JSON NOT NULL DEFAULT '{}');
CREATE INDEX IF NOT EXISTS effects_execution ON effects (execution_id);
CREATE TABLE IF NOT EXISTS idempotency_keys (
    scope TEXT PRIMARY KEY, status INTEGER NOT NULL, content_type TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY AUTOINCREMENT, execution_id TEXT NOT NULL, file_execution_id TEXT, file_path TEXT,
    status TEXT NOT NULL, error TEXT, result JSON, summary TEXT);
CREATE INDEX IF NOT EXISTS results_execution ON results (execution_id);

-- Rows with what belongs to them, named as they are shown.
CREATE VIEW IF NOT EXISTS shown_workflows AS
    SELECT w.*, o.organization_id FROM workflows w JOIN organizations o ON o.pk = w.organization_pk;
CREATE VIEW IF NOT EXISTS shown_pipelines AS
    SELECT p.*, o.organization_id FROM pipelines p JOIN organizations o ON o.pk = p.organization_pk;
CREATE VIEW IF NOT EXISTS shown_api_deployments AS
    SELECT a.*, o.organization_id FROM api_deployments a JOIN organizations o ON o.pk = a.organization_pk;
CREATE VIEW IF NOT EXISTS shown_executions AS
    SELECT e.*, e.rowid AS number, w.name AS workflow_name, w.type AS workflow_type, lower(w.type) AS kind,
        o.organization_id, 'COMPLETE' AS execution_type,
        strftime('%Y-%m-%dT%H:%M:%f000Z', e.created, 'unixepoch') AS created_at,
        strftime('%Y-%m-%dT%H:%M:%f000Z', e.modified, 'unixepoch') AS modified_at
    FROM executions e JOIN workflows w ON w.id = e.workflow_id JOIN organizations o ON o.pk = e.organization_pk;
CREATE VIEW IF NOT EXISTS shown_files AS
    SELECT f.*, f.rowid AS number, f.execution_id AS workflow_execution_id, e.workflow_id, e.organization_pk,
        e.status AS execution_status,
        strftime('%Y-%m-%dT%H:%M:%f000Z', f.created, 'unixepoch') AS created_at,
        strftime('%Y-%m-%dT%H:%M:%f000Z', f.modified, 'unixepoch') AS modified_at
    FROM file_executions f JOIN executions e ON e.id = f.execution_id;
CREATE VIEW IF NOT EXISTS shown_histories AS
    SELECT h.*, h.workflow_id AS workflow, w.history_limit AS max_execution_count,
        strftime('%Y-%m-%dT%H:%M:%f000Z', h.created, 'unixepoch') AS created_at,
        strftime('%Y-%m-%dT%H:%M:%f000Z', h.modified, 'unixepoch') AS modified_at
    FROM file_histories h JOIN workflows w ON w.id = h.workflow_id;
CREATE VIEW IF NOT EXISTS shown_tools AS
    SELECT t.*, t.rowid AS number, w.organization_pk FROM tool_instances t JOIN workflows w ON w.id = t.workflow_id;
CREATE VIEW IF NOT EXISTS due_notifications AS
    SELECT b.*, n.url, n.authorization_type, n.authorization_key, n.authorization_header, n.max_retries
    FROM notification_buffer b JOIN notifications n ON n.id = b.notification_id WHERE b.status = 'PENDING';
