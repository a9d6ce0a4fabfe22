"""What can go wrong, by who can do something about it."""

__all__ = ["DeployFailed", "EnvironmentFault"]


class EnvironmentFault(Exception):
    """The environment file or the machine is not fit for it; nothing was touched. One problem a line."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DeployFailed(Exception):
    """The engine refused, or a worker did not get healthy; the message says which and why."""
