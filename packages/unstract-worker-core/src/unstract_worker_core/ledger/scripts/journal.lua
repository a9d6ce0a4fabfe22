-- journal(run, token, field, value, ...): note what was done, the first value of a field is kept. Returns the kept values.
if not holds_run(ARGV[2]) then return {"lost"} end
local kept = {"ok"}
for i = 3, #ARGV, 2 do
  redis.call("HSETNX", JOURNAL, ARGV[i], ARGV[i + 1])
  kept[#kept + 1] = redis.call("HGET", JOURNAL, ARGV[i])
end
redis.call("HSET", META, "progress", tostring(now))
return kept
