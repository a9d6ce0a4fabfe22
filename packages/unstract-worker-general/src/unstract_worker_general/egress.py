"""What may leave: the addresses that a webhook is sent to, all of them checked, and this process's places for it."""

import time
from collections.abc import Callable
from ipaddress import ip_network

from attrs import Factory, define, field

from unstract_worker_core.config import WebhookSettings
from unstract_worker_general.addresses import Address, plain, why_not_public
from unstract_worker_general.per_host import HostPlaces
from unstract_worker_general.resolving import Lookups
from unstract_worker_general.targets import Refused, Target

__all__ = ["Egress"]

_WORKED_SECONDS = 300.0
_MOST_REMEMBERED = 1000


@define(eq=False)
class Egress:
    """What the deliveries of one process share. `now`: seconds since the epoch."""

    lookups: Lookups = Factory(Lookups)
    places: HostPlaces = Factory(HostPlaces)
    now: Callable[[], float] = time.time
    _worked: dict[str, tuple[Address, float]] = field(factory=dict, init=False)  # by host: address, until when

    def addresses(self, target: Target, settings: WebhookSettings, *, seconds: float) -> tuple[Address, ...]:
        """Where a connection for `target` may go: looked up now, and every one of them allowed.

        One answer that is not allowed refuses all of them. The address that worked a moment ago comes first. Raises
        Refused, NotResolved or LookupsBusy.
        """
        lasting = target.address is not None
        if target.address is None:
            worked, until = self._worked.get(target.host, (None, 0.0))
            found = self.lookups.addresses(target.host, seconds=seconds)
            if worked in found and time.monotonic() < until:
                found = tuple(sorted(found, key=lambda address: address != worked))
        else:
            found = (plain(target.address),)
        if target.host in settings.allowed_hosts:
            return found
        networks = [ip_network(network) for network in settings.allowed_networks]
        others = [address for address in found if not any(address in network for network in networks)]
        for rule in filter(None, map(why_not_public, others)):
            allow = "WEBHOOK_ALLOWED_NETWORKS" if lasting else "WEBHOOK_ALLOWED_HOSTS and WEBHOOK_ALLOWED_NETWORKS"
            raise Refused(f"the address is not public: {rule}; {allow} can allow it", lasting=lasting)
        if others and target.port not in settings.allowed_ports:
            raise Refused(f"port {target.port} is not one of WEBHOOK_ALLOWED_PORTS", lasting=lasting)
        return found

    def connected(self, host: str, address: Address) -> None:
        """A connection for the host was made to this address."""
        if len(self._worked) >= _MOST_REMEMBERED:
            self._worked.clear()
        self._worked[host] = address, time.monotonic() + _WORKED_SECONDS
