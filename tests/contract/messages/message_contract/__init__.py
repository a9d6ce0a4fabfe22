"""What the workers write for each other: its schemas, which changes of them are allowed, and examples."""

__all__: list[str] = []
