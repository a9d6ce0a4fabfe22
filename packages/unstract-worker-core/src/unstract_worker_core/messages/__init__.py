"""What travels between the platform and the workers, as attrs models (contract: tasks)."""
