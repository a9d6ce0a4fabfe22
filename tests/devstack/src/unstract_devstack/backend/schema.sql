CREATE TABLE IF NOT EXISTS organizations (
    pk INTEGER PRIMARY KEY AUTOINCREMENT, organization_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    platform_key TEXT, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS configurations (
    organization_pk INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (organization_pk, key));
CREATE TABLE IF NOT EXISTS workflows (
    id TEXT PRIMARY KEY, organization_pk INTEGER NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '', use_file_history INTEGER NOT NULL DEFAULT 1,
    history_limit INTEGER NOT NULL DEFAULT 3, fields TEXT NOT NULL DEFAULT '[]',
    source_root TEXT, source_folder TEXT, destination_folder TEXT, destination_table TEXT,
    max_files INTEGER NOT NULL DEFAULT 100, created_at TEXT NOT NULL, modified_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS endpoints (
    id TEXT PRIMARY KEY, workflow_id TEXT NOT NULL, type TEXT NOT NULL, connection_type TEXT NOT NULL,
    configuration TEXT NOT NULL DEFAULT '{}', connector_id TEXT, connector_name TEXT, connector_metadata TEXT);
CREATE INDEX IF NOT EXISTS endpoints_workflow ON endpoints (workflow_id);
CREATE TABLE IF NOT EXISTS tool_instances (
    id TEXT PRIMARY KEY, workflow_id TEXT NOT NULL, tool_id TEXT NOT NULL, step INTEGER NOT NULL DEFAULT 1,
    status TEXT NOT NULL DEFAULT 'Ready to start', version TEXT NOT NULL DEFAULT '1',
    metadata TEXT NOT NULL DEFAULT '{}', fault TEXT);
CREATE INDEX IF NOT EXISTS tool_instances_workflow ON tool_instances (workflow_id);
CREATE TABLE IF NOT EXISTS pipelines (
    id TEXT PRIMARY KEY, organization_pk INTEGER NOT NULL, workflow_id TEXT NOT NULL, name TEXT NOT NULL,
    type TEXT NOT NULL, active INTEGER NOT NULL DEFAULT 1, last_run_time TEXT,
    last_run_status TEXT NOT NULL DEFAULT 'YET_TO_START', created_at TEXT NOT NULL, modified_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS api_deployments (
    id TEXT PRIMARY KEY, organization_pk INTEGER NOT NULL, workflow_id TEXT NOT NULL, api_name TEXT NOT NULL,
    display_name TEXT NOT NULL, is_active INTEGER NOT NULL DEFAULT 1, created_at TEXT NOT NULL,
    modified_at TEXT NOT NULL, UNIQUE (organization_pk, api_name));
CREATE TABLE IF NOT EXISTS executions (
    id TEXT PRIMARY KEY, organization_pk INTEGER NOT NULL, workflow_id TEXT NOT NULL, pipeline_id TEXT, task_id TEXT,
    execution_mode TEXT NOT NULL DEFAULT 'QUEUE', execution_method TEXT NOT NULL DEFAULT 'DIRECT',
    execution_log_id TEXT NOT NULL DEFAULT '', status TEXT NOT NULL DEFAULT 'PENDING',
    result_acknowledged INTEGER NOT NULL DEFAULT 0, total_files INTEGER NOT NULL DEFAULT 0,
    successful_files INTEGER, failed_files INTEGER, error_message TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0, execution_time REAL NOT NULL DEFAULT 0.0, queue_message_id TEXT,
    tags TEXT NOT NULL DEFAULT '[]', created REAL NOT NULL, modified REAL NOT NULL);
CREATE INDEX IF NOT EXISTS executions_workflow ON executions (workflow_id, status);
CREATE TABLE IF NOT EXISTS file_executions (
    id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, file_name TEXT NOT NULL DEFAULT '', file_path TEXT,
    file_size INTEGER, file_hash TEXT, provider_file_uuid TEXT, mime_type TEXT, fs_metadata TEXT,
    status TEXT NOT NULL DEFAULT '', execution_time REAL, execution_error TEXT,
    created REAL NOT NULL, modified REAL NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS file_executions_hash ON file_executions (execution_id, file_hash, file_path);
CREATE UNIQUE INDEX IF NOT EXISTS file_executions_provider
    ON file_executions (execution_id, provider_file_uuid, file_path);
CREATE INDEX IF NOT EXISTS file_executions_uuid ON file_executions (provider_file_uuid);
CREATE TABLE IF NOT EXISTS file_histories (
    id TEXT PRIMARY KEY, workflow_id TEXT NOT NULL, cache_key TEXT NOT NULL, provider_file_uuid TEXT,
    status TEXT NOT NULL, execution_count INTEGER NOT NULL DEFAULT 1, error TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT '', metadata TEXT NOT NULL DEFAULT '', file_path TEXT,
    created REAL NOT NULL, modified REAL NOT NULL);
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
    max_retries INTEGER NOT NULL DEFAULT 0, is_active INTEGER NOT NULL DEFAULT 1,
    notify_on_failures INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS notification_buffer (
    id TEXT PRIMARY KEY, organization_pk INTEGER NOT NULL, notification_id TEXT NOT NULL, platform TEXT NOT NULL,
    event TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'PENDING', attempts INTEGER NOT NULL DEFAULT 0,
    flush_after REAL NOT NULL, sending_since REAL, created REAL NOT NULL);
CREATE INDEX IF NOT EXISTS notification_buffer_due ON notification_buffer (status, flush_after);
CREATE TABLE IF NOT EXISTS effects (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, operation TEXT NOT NULL, organization TEXT,
    execution_id TEXT, file TEXT, key TEXT, detail TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS effects_execution ON effects (execution_id);
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
    organization TEXT, key TEXT, status INTEGER NOT NULL, seconds REAL NOT NULL, fault TEXT);
CREATE TABLE IF NOT EXISTS idempotency_keys (
    scope TEXT PRIMARY KEY, status INTEGER NOT NULL, content_type TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY AUTOINCREMENT, execution_id TEXT NOT NULL, file_execution_id TEXT, file_path TEXT,
    status TEXT NOT NULL, error TEXT, result TEXT);
CREATE INDEX IF NOT EXISTS results_execution ON results (execution_id);
