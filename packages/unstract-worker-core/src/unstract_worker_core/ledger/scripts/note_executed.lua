-- note_executed(run, epoch, batch, token, number, result, following): the file's effect happened; what comes after it
-- can be repeated. `following` (0: none) begins with this step, as by start_file, unless the run was stopped.
-- Returns 0: lost, 1: kept, 2: kept, and the following file is in flight.
local lease = holds_batch(ARGV[2], ARGV[3], ARGV[4])
if redis.call("HEXISTS", RESULTS, ARGV[5]) == 0 then
  if not lease then return 0 end
  redis.call("HSETNX", EXECUTED, ARGV[5], ARGV[6])
  redis.call("HSET", META, "progress", tostring(now))
end
local following = tonumber(ARGV[7])
if not lease or following == 0 or number("stop") ~= 0 then return 1 end
lease.file = following
save_lease(ARGV[3], lease)
return 2
