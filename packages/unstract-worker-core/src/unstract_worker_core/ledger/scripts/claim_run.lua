-- claim_run(run, token, wanted_state, lease_ms): lease a run for orchestrating or finalising.
-- A lapsed lease counts as a failed attempt; a lease that was released does not.
local state = get("state")
if state ~= ARGV[3] then return {"closed", state or ""} end
local owner, ends = get("owner"), number("lease_ends")
if owner ~= "" and owner ~= ARGV[2] and ends > now then return {"busy", tostring(ends - now)} end
if owner ~= ARGV[2] then
  if owner ~= "" then redis.call("HINCRBY", META, "attempts", 1) end
  redis.call("HINCRBY", META, "fence", 1)
end
ends = now + tonumber(ARGV[4])
redis.call("HSET", META, "owner", ARGV[2], "lease_ends", tostring(ends), "rings", "0", "progress", tostring(now))
due(ends)
return {"leased", get("fence"), redis.call("HGETALL", META), redis.call("GET", START), redis.call("GET", CONTEXT),
  redis.call("HGETALL", JOURNAL)}
