"""A backend double that answers fast: what a run needs of the internal API, with set latencies, counted by route."""
