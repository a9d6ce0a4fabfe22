"""Files into items and items into batches: pure functions."""

from collections.abc import Collection, Iterable

from attrs import evolve

from unstract_worker_core.ledger import FileItem

MOST_BATCHES = 100


def deduplicate(files: Iterable[FileItem]) -> tuple[FileItem, ...]:
    """Uploads of equal content become one item, whose `copies` name the further ones.

    The backend has one row for them. Files whose type was refused were not stored and have no content to be equal.
    """
    items: list[FileItem] = []
    first: dict[str, int] = {}
    for file in files:
        at = None if file.unsupported or not file.hash else first.get(file.hash)
        if at is None:
            first.setdefault(file.hash, len(items))
            items.append(file)
        else:
            items[at] = evolve(items[at], copies=(*items[at].copies, file.name, *file.copies))
    return tuple(items)


def mark_executed(items: Iterable[FileItem], completed: Collection[str]) -> tuple[FileItem, ...]:
    """The items, with those marked whose content the workflow has completed before."""
    return tuple(evolve(item, is_executed=True) if item.hash in completed else item for item in items)


def split(items: Iterable[FileItem], batches: int) -> tuple[tuple[FileItem, ...], ...]:
    """Deal items round robin, in order, into at most `batches` (1 to 100) batches; none is empty."""
    dealt = tuple(items)
    count = min(max(1, batches), MOST_BATCHES, len(dealt))
    return tuple(dealt[start::count] for start in range(count))
