-- note_executed(run, epoch, batch, token, number, result): the file's effect happened; what follows can be repeated.
if redis.call("HEXISTS", RESULTS, ARGV[5]) == 1 then return 1 end
if not holds_batch(ARGV[2], ARGV[3], ARGV[4]) then return 0 end
redis.call("HSETNX", EXECUTED, ARGV[5], ARGV[6])
redis.call("HSET", META, "progress", tostring(now))
return 1
