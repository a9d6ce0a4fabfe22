"""Workers whose ledger lets anybody write: neither the owner of a lease nor its end is looked at."""

from unstract_worker_core.ledger.lease import Held
from unstract_worker_core.ledger.store import LedgerStore

_first = LedgerStore.__init__
_CHECK = "  if lease.owner ~= token then return nil end\n"
_STATE = '  if get("state") ~= "ARMED" or get("epoch") ~= epoch then return nil end\n'


def _without_fence(self, redis, *args, **kwargs):
    _first(self, redis, *args, **kwargs)
    for name, script in self._scripts.items():
        source = script.script if isinstance(script.script, str) else script.script.decode()
        if _CHECK not in source or _STATE not in source:
            raise RuntimeError("the ledger's scripts have changed: adapt this variant")
        self._scripts[name] = redis.register_script(source.replace(_CHECK, "").replace(_STATE, ""))


LedgerStore.__init__ = _without_fence
Held.check = lambda self: None
Held.lost = property(lambda self: False)
