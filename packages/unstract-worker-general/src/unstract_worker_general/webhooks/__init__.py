"""Webhooks: accepted as messages, delivered under the ledger, at least once and bounded."""
