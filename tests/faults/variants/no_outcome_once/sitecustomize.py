"""Workers that do not see that a batch or a file has its outcome already."""

from unstract_worker_core.ledger.store import LedgerStore

_first = LedgerStore.__init__
_DONE = 'if redis.call("HEXISTS", OUTCOMES, batch) == 1 then return {"done"} end\n'
_RECORDED = 'redis.call("HEXISTS", RESULTS, field)'


def _without_outcomes(self, redis, *args, **kwargs):
    _first(self, redis, *args, **kwargs)
    script = self._scripts["claim_batch"].script
    source = script if isinstance(script, str) else script.decode()
    if _DONE not in source or _RECORDED not in source:
        raise RuntimeError("the ledger's scripts have changed: adapt this variant")
    self._scripts["claim_batch"] = redis.register_script(source.replace(_DONE, "").replace(_RECORDED, "0"))


LedgerStore.__init__ = _without_outcomes
