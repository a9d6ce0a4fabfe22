"""Organizations, and the three ways in which views of the platform scope a request to one of them."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

from attrs import frozen

from unstract_devstack.backend.database import Database
from unstract_devstack.backend.timestamps import zulu_now
from unstract_devstack.backend.wire import refuse

MOST = 2**63 - 1
"""What SQLite holds."""


@frozen
class Organization:
    """One tenant: its number in the database and its identifier in headers."""

    pk: int
    identifier: str
    name: str
    platform_key: str | None


class Organizations:
    """All tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, identifier: str, name: str, platform_key: str | None) -> Organization:
        """Add a tenant; one that is there already is returned as it is."""
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO organizations (organization_id, name, platform_key, created_at) VALUES (?, ?, ?, ?)",
                (identifier, name, platform_key, zulu_now()),
            )
            found = self.by_identifier(identifier)
        assert found is not None
        return found

    def by_identifier(self, identifier: str | None) -> Organization | None:
        """The tenant with exactly this identifier."""
        return self._found("organization_id", identifier)

    def by_pk(self, pk: int) -> Organization | None:
        """The tenant with this number."""
        return self._found("pk", pk) if pk <= MOST else None

    def _found(self, column: str, value: str | int | None) -> Organization | None:
        query = f"SELECT pk, organization_id, name, platform_key FROM organizations WHERE {column} = ?"
        row = self._database.one(query, (value,))
        return None if row is None else Organization(*tuple(row))

    def resolve(self, value: str) -> Organization | None:
        """All digits are a number, anything else an identifier: one of digits only can not be found."""
        if value.isdigit():
            return self.by_pk(int(value))
        return self.by_identifier(value)

    def scope(self, header: str | None) -> "Scope":
        """The organization that a request's header (or None) means."""
        raw = (header or "").strip() or None
        if raw is None:
            return Scope(self, None, None)
        found = self.resolve(raw)
        return Scope(self, raw, found.identifier if found else raw)


NOWHERE = -1
"""A number that no organization has: a filter by it finds nothing."""


@frozen
class Scope:
    """A request's organization: the header as sent, and what the middleware made of it."""

    organizations: Organizations
    raw: str | None
    current: str | None

    def managed(self) -> int:
        """For views over managed models: no header finds nothing."""
        found = self.organizations.by_identifier(self.current)
        return found.pk if found else NOWHERE

    def filtered(self) -> int | None:
        """For views that filter by hand: no header means every tenant's rows (None)."""
        if self.current is None:
            return None
        found = self.organizations.resolve(self.current)
        return found.pk if found else NOWHERE

    def both(self) -> int:
        """For views over managed models that also filter by hand."""
        managed, filtered = self.managed(), self.filtered()
        return managed if filtered in (None, managed) else NOWHERE

    def demanded(self) -> Organization:
        """For views that read the header themselves. Raises Refused with 400 or 404."""
        if self.raw is None:
            raise refuse(400, error="X-Organization-ID header is required")
        found = self.organizations.by_identifier(self.raw)
        if found is None:
            raise refuse(404, error=f"Organization {self.raw} not found")
        return found
