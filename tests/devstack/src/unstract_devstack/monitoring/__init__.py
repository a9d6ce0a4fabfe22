"""Whether docker/monitoring asks for what the workers export: `python -m unstract_devstack.monitoring`."""

from unstract_devstack.monitoring.queries import MONITORING, Query, all_queries, names_in

__all__ = ["MONITORING", "Query", "all_queries", "names_in"]
