-- accept(run, task, kind, organization, payload, ring_wait_ms, state): write a message down, once.
local state = get("state")
if state then return {state, 0} end
redis.call("HSET", META, "state", ARGV[7], "task", ARGV[2], "kind", ARGV[3], "organization", ARGV[4],
  "epoch", "0", "n", "0", "attempts", "0", "fence", "0", "owner", "", "lease_ends", "0", "rings", "0",
  "accepted_at", tostring(now), "progress", tostring(now))
redis.call("SET", START, ARGV[5])
redis.call("SADD", OPEN, run)
redis.call("SADD", SEEN, ARGV[4])
due(now + tonumber(ARGV[6]))
return {ARGV[7], 1}
