-- retry(run, fresh): an operator wants the run to be due now. What has a live lease is left to its owner.
-- fresh = "1": failed attempts are forgotten; charges of files are kept, so that a poisonous file stays known.
local state = get("state")
if not state or state == "DONE" then return {state or "", 0} end
if ARGV[2] == "1" then redis.call("HSET", META, "attempts", "0") end
redis.call("HSET", META, "rings", "0")
if state ~= "ARMED" then
  if get("owner") ~= "" and number("lease_ends") > now then return {state, 1} end
  due(now)
  return {state, 0}
end
local held = 0
for _, batch in ipairs(redis.call("ZRANGE", RINGS, 0, -1)) do
  local lease = lease_of(batch)
  if lease.owner ~= "" and lease.ends > now then
    held = held + 1
  else
    answered(batch) -- as if never rung: it is rung again whatever waits in the queue
    redis.call("ZADD", RINGS, string.format("%.0f", now), batch)
  end
end
look_again()
return {state, held}
