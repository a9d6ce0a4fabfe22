"""What a file cost, and how the backend is."""

from attrs import frozen


@frozen
class TokenUsage:
    """Tokens and cost of one file execution; None where nothing was counted."""

    embedding_tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cost_in_dollars: float | None = None


@frozen
class Health:
    """The backend's own word."""

    status: str
    version: str = ""
