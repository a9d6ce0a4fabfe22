"""A fast backend double: the part of the internal API that a run needs, with set latencies, counted by route."""
