"""Text that others sent, made fit for one line of a log, a table, or an error column of the backend."""

__all__ = ["one_line"]


def one_line(text: str, limit: int = 256) -> str:
    """The text printable and in one line, cut with an ellipsis to at most `limit` characters."""
    printable = (character if character.isprintable() else " " for character in text[: 16 * limit])
    flat = " ".join("".join(printable).split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."
