"""The baselines that the workers are compared with. Each module runs in its own process."""
