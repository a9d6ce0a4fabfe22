-- record_file(run, epoch, batch, token, number, outcome): the first outcome of a file is the one.
if not holds_batch(ARGV[2], ARGV[3], ARGV[4]) then
  if get("epoch") == ARGV[2] and redis.call("HEXISTS", RESULTS, ARGV[5]) == 1 then return 1 end
  return 0
end
redis.call("HSETNX", RESULTS, ARGV[5], ARGV[6])
redis.call("HDEL", EXECUTED, ARGV[5])
local lease = lease_of(ARGV[3])
lease.file = 0
save_lease(ARGV[3], lease)
redis.call("HSET", META, "progress", tostring(now))
return 1
