-- complete_batch(run, epoch, batch, token, ring_wait_ms, number, outcome, ...): first outcome wins, of a file and of
-- the batch; READY exactly when every batch has one. The outcomes are those of files that are not recorded yet.
local epoch, batch, token = ARGV[2], ARGV[3], ARGV[4]
if get("epoch") ~= epoch or get("state") == "DONE" then return {"closed"} end
if redis.call("HEXISTS", OUTCOMES, batch) == 1 then return {"already", get("state")} end
local lease = holds_batch(epoch, batch, token)
if not lease then return {"lost"} end
for i = 6, #ARGV, 2 do
  redis.call("HSETNX", RESULTS, ARGV[i], ARGV[i + 1])
  forget_file(ARGV[i])
end
for _, file in ipairs(cjson.decode(redis.call("HGET", batches_key(epoch), batch))) do
  if redis.call("HEXISTS", RESULTS, tostring(file.number)) == 0 then return {"incomplete", tostring(file.number)} end
end
redis.call("HSETNX", OUTCOMES, batch, tostring(lease.fence))
answered(batch) -- rung again when the lease had lapsed, completed by its owner all the same
lease.owner, lease.file = "", 0
save_lease(batch, lease)
redis.call("ZREM", RINGS, batch)
redis.call("HSET", META, "progress", tostring(now))
if redis.call("HLEN", OUTCOMES) == number("n") then
  redis.call("HSET", META, "state", "READY", "rings", "0")
  due(now + tonumber(ARGV[5]))
else
  look_again()
end
return {"recorded", get("state")}
