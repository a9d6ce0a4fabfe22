-- record_file(run, epoch, batch, token, number, outcome, ...): the first outcome of a file is the one.
if not holds_batch(ARGV[2], ARGV[3], ARGV[4]) then
  if get("epoch") ~= ARGV[2] then return 0 end
  for i = 5, #ARGV, 2 do
    if redis.call("HEXISTS", RESULTS, ARGV[i]) == 0 then return 0 end
  end
  return 1
end
local lease = lease_of(ARGV[3])
for i = 5, #ARGV, 2 do
  redis.call("HSETNX", RESULTS, ARGV[i], ARGV[i + 1])
  forget_file(ARGV[i])
  if lease.file == tonumber(ARGV[i]) then lease.file = 0 end -- not that of a file that began meanwhile
end
save_lease(ARGV[3], lease)
redis.call("HSET", META, "progress", tostring(now))
return 1
