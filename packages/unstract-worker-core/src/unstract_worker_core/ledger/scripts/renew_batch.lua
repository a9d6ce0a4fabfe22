-- renew_batch(run, epoch, batch, token, lease_ms)
local lease = holds_batch(ARGV[2], ARGV[3], ARGV[4])
if not lease then return 0 end
lease.ends = now + tonumber(ARGV[5])
save_lease(ARGV[3], lease)
redis.call("ZADD", RINGS, string.format("%.0f", lease.ends), ARGV[3])
look_again()
return 1
