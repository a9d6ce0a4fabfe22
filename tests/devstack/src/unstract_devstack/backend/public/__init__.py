"""The public face: where the callers of API deployments send files and fetch results."""
