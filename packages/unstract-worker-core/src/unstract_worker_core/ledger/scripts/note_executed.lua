-- note_executed(run, epoch, batch, token, number, result): the file's effect happened; what comes after it can be
-- repeated. Returns 0: lost, 1: kept.
local lease = holds_batch(ARGV[2], ARGV[3], ARGV[4])
if redis.call("HEXISTS", RESULTS, ARGV[5]) == 1 then return 1 end
if not lease then return 0 end
redis.call("HSETNX", EXECUTED, ARGV[5], ARGV[6])
redis.call("HDEL", ANSWERS, ARGV[5])
redis.call("HSET", META, "progress", tostring(now))
return 1
