-- release_run(run, token, delay_ms, charge, reason): hand a run back; a charge counts as a failed attempt.
if not holds_run(ARGV[2]) then return 0 end
redis.call("HSET", META, "owner", "", "lease_ends", "0", "rings", "0", "last_error", ARGV[5])
if ARGV[4] == "1" then redis.call("HINCRBY", META, "attempts", 1) end
due(now + tonumber(ARGV[3]))
return 1
