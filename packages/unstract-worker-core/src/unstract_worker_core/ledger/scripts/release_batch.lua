-- release_batch(run, epoch, batch, token, delay_ms, charged, reason): hand a batch back; only the named file (0: none)
-- is charged. The reason (empty or missing: none) is kept for operators.
local lease = holds_batch(ARGV[2], ARGV[3], ARGV[4])
if not lease then return 0 end
if ARGV[6] ~= "0" then redis.call("HINCRBY", CHARGES, ARGV[6], 1) end
if ARGV[7] and ARGV[7] ~= "" then redis.call("HSET", META, "last_error", ARGV[7]) end
lease.owner, lease.file, lease.ends = "", 0, 0
save_lease(ARGV[3], lease)
redis.call("ZADD", RINGS, string.format("%.0f", now + tonumber(ARGV[5])), ARGV[3])
look_again()
return 1
