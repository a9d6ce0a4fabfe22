-- finish(run, token, wanted_state, final, recheck_ms, tombstone_ms): DONE. Payloads go, a tombstone stays.
local state = get("state")
if state == "DONE" then return {"already"} end
if state ~= ARGV[3] or not holds_run(ARGV[2]) then return {"lost"} end
-- Deletes come first: a Redis that is out of memory allows them, and then what follows them.
redis.call("UNLINK", START, CONTEXT, JOURNAL, LEASES, RINGS, RUNG, OUTCOMES, RESULTS, EXECUTED, CHARGES, REQUESTS, ANSWERS,
  batches_key(get("epoch")), batches_key(number("epoch") + 1))
redis.call("HSET", META, "state", "DONE", "final", ARGV[4], "owner", "", "lease_ends", "0", "rings", "0",
  "done_at", tostring(now))
redis.call("PEXPIRE", META, ARGV[6])
redis.call("SREM", OPEN, run)
if tonumber(ARGV[5]) > 0 then due(now + tonumber(ARGV[5])) else redis.call("ZREM", DUE, run) end
return {"done"}
