-- arm(run, token, n, context, ring_wait_ms, index, files, ...): with these batch records, if any, all are there; ACCEPTED
-- becomes ARMED (READY when n is 0). The same request again: the same epoch.
local state = get("state")
if state ~= "ACCEPTED" then return {"already", get("epoch") or "", state or ""} end
if not holds_run(ARGV[2]) then return {"lost"} end
local n, epoch = tonumber(ARGV[3]), number("epoch") + 1
for i = 6, #ARGV, 2 do redis.call("HSET", batches_key(epoch), ARGV[i], ARGV[i + 1]) end
for _, index in ipairs(redis.call("HKEYS", batches_key(epoch))) do -- of an owner before us that had more batches
  if tonumber(index) >= n then redis.call("HDEL", batches_key(epoch), index) end
end
if redis.call("HLEN", batches_key(epoch)) ~= n then return {"incomplete"} end
redis.call("SET", CONTEXT, ARGV[4])
redis.call("HSET", META, "epoch", tostring(epoch), "n", tostring(n), "owner", "", "lease_ends", "0", "attempts", "0",
  "rings", "0", "last_error", "", "armed_at", tostring(now), "progress", tostring(now))
if n == 0 then
  redis.call("HSET", META, "state", "READY")
  due(now + tonumber(ARGV[5]))
  return {"armed", tostring(epoch), "READY"}
end
local at = string.format("%.0f", now + tonumber(ARGV[5]))
for i = 0, n - 1 do
  redis.call("ZADD", RINGS, at, i)
  redis.call("HSET", RUNG, i, 1)
end
redis.call("HINCRBY", UNCLAIMED, get("kind"), n)
redis.call("HSET", META, "state", "ARMED")
look_again()
return {"armed", tostring(epoch), "ARMED"}
