"""Organizations, and the three ways in which views of the platform scope a request to one of them."""

import threading

from attrs import frozen

from unstract_devstack.backend.database import Database
from unstract_devstack.backend.timestamps import zulu_now
from unstract_devstack.backend.wire import refuse


@frozen
class Organization:
    """One tenant: its number in the database and its identifier in headers."""

    pk: int
    identifier: str
    name: str
    platform_key: str | None


class Organizations:
    """All tenants, held in memory: every request asks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._by_identifier: dict[str, Organization] = {}
        self._by_pk: dict[int, Organization] = {}
        for row in database.all("SELECT pk, organization_id, name, platform_key FROM organizations"):
            self._remember(Organization(*tuple(row)))

    def _remember(self, organization: Organization) -> None:
        self._by_identifier[organization.identifier] = organization
        self._by_pk[organization.pk] = organization

    def create(self, identifier: str, name: str, platform_key: str | None) -> Organization:
        """Add a tenant; one that is there already is returned as it is."""
        with self._lock:
            known = self._by_identifier.get(identifier)
            if known is not None:
                return known
            with self._database.write() as connection:
                pk = connection.execute(
                    "INSERT INTO organizations (organization_id, name, platform_key, created_at) VALUES (?, ?, ?, ?)",
                    (identifier, name, platform_key, zulu_now()),
                ).lastrowid
            organization = Organization(pk or 0, identifier, name, platform_key)
            self._remember(organization)
            return organization

    def by_identifier(self, identifier: str | None) -> Organization | None:
        """The tenant with exactly this identifier."""
        return self._by_identifier.get(identifier) if identifier is not None else None

    def by_pk(self, pk: int) -> Organization | None:
        """The tenant with this number."""
        return self._by_pk.get(pk)

    def resolve(self, value: str) -> Organization | None:
        """All digits are a number, anything else an identifier: one of digits only can not be found."""
        if value.isdigit():
            return self._by_pk.get(int(value))
        return self._by_identifier.get(value)

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
