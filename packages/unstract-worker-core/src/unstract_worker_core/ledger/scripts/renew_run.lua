-- renew_run(run, token, lease_ms)
if not holds_run(ARGV[2]) then return 0 end
local ends = now + tonumber(ARGV[3])
redis.call("HSET", META, "lease_ends", tostring(ends))
due(ends)
return 1
