-- stop(run): no further file starts; the run ends STOPPED. Batches that wait for an executor's answer are due now.
local state = get("state")
if not state or state == "DONE" or get("stop") == "1" then return state or "" end
redis.call("HSET", META, "stop", "1")
if state == "ARMED" and redis.call("HLEN", REQUESTS) > 0 then
  for _, batch in ipairs(redis.call("ZRANGE", RINGS, 0, -1)) do
    local lease = lease_of(batch)
    if lease.owner == "" and lease.first ~= 0 then redis.call("ZADD", RINGS, string.format("%.0f", now), batch) end
  end
  look_again()
end
return state
