-- record_answer(run, epoch, batch, number, answer, ring_wait_ms, row): the executor's answer for a file, from any worker.
-- The first answer wins; one to a file that has its outcome, or to a run that is over, is late. So is one to a file of
-- another row (empty: not known): a run whose ledger was lost numbers its files again. The answer ends the charges for
-- requests without one: what is done with it has its own tries.
-- Returns {"late"}, {"recorded"} (the batch's owner will see it) or {"ring", kind}: the batch is to be rung.
local epoch, batch, number_of = ARGV[2], ARGV[3], ARGV[4]
if get("state") ~= "ARMED" or get("epoch") ~= epoch then return {"late"} end
if redis.call("HEXISTS", REQUESTS, number_of) == 0 or redis.call("HEXISTS", RESULTS, number_of) == 1
  or redis.call("HEXISTS", EXECUTED, number_of) == 1 then return {"late"} end
if ARGV[7] ~= "" then
  for _, file in ipairs(cjson.decode(redis.call("HGET", batches_key(epoch), batch) or "[]")) do
    if tostring(file.number) == number_of and file.file_execution_id ~= ARGV[7] then return {"late"} end
  end
end
local before = redis.call("HGET", ANSWERS, number_of)
if before and before ~= ARGV[5] then return {"late"} end
if not before then redis.call("HDEL", CHARGES, number_of) end
redis.call("HSET", ANSWERS, number_of, ARGV[5])
redis.call("HSET", META, "progress", tostring(now))
local lease = lease_of(batch)
if lease.owner ~= "" and lease.ends > now then return {"recorded"} end
if redis.call("HSETNX", RUNG, batch, 1) == 1 then redis.call("HINCRBY", UNCLAIMED, get("kind"), 1) end
redis.call("ZADD", RINGS, string.format("%.0f", now + tonumber(ARGV[6])), batch)
look_again()
return {"ring", get("kind")}
