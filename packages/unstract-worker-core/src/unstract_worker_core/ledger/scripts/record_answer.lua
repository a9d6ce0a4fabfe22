-- record_answer(run, epoch, batch, number, answer, ring_wait_ms): the executor's answer for a file, from any worker.
-- The first answer wins; one to a file that has its outcome, or to a run that is over, is late.
-- Returns {"late"}, {"recorded"} (the batch's owner will see it) or {"ring", kind}: the batch is to be rung.
local epoch, batch, number_of = ARGV[2], ARGV[3], ARGV[4]
if get("state") ~= "ARMED" or get("epoch") ~= epoch then return {"late"} end
if redis.call("HEXISTS", REQUESTS, number_of) == 0 or redis.call("HEXISTS", RESULTS, number_of) == 1
  or redis.call("HEXISTS", EXECUTED, number_of) == 1 then return {"late"} end
local before = redis.call("HGET", ANSWERS, number_of)
if before and before ~= ARGV[5] then return {"late"} end
redis.call("HSET", ANSWERS, number_of, ARGV[5])
redis.call("HSET", META, "progress", tostring(now))
local lease = lease_of(batch)
if lease.owner ~= "" and lease.ends > now then return {"recorded"} end
if redis.call("HSETNX", RUNG, batch, 1) == 1 then redis.call("HINCRBY", UNCLAIMED, get("kind"), 1) end
redis.call("ZADD", RINGS, string.format("%.0f", now + tonumber(ARGV[6])), batch)
look_again()
return {"ring", get("kind")}
