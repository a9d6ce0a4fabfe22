-- journal(run, token, field, value, ...): note what was done, first note wins. Returns the values that stand.
if not holds_run(ARGV[2]) then return {"lost"} end
local stands = {"ok"}
for i = 3, #ARGV, 2 do
  redis.call("HSETNX", JOURNAL, ARGV[i], ARGV[i + 1])
  stands[#stands + 1] = redis.call("HGET", JOURNAL, ARGV[i])
end
redis.call("HSET", META, "progress", tostring(now))
return stands
