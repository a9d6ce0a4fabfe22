-- decide_due(run, first_wait_ms, max_wait_ms, limit, recheck_ms, kind, waiting, kind, waiting, ...): decide what a due run
-- needs and mark it as asked for. A batch that was rung and not claimed is rung again only if the queue of its kind
-- holds fewer doorbells than there are unclaimed batches: a backlog is not a loss. The last part of an answer says
-- whether the run was stopped: the sweeper then ends what it would ring for, and no doorbell is waited for.
local first_wait, max_wait, limit = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local state = get("state")
if not state then
  redis.call("ZREM", DUE, run)
  redis.call("SREM", OPEN, run)
  return {"dropped"}
end
local at = redis.call("ZSCORE", DUE, run)
if not at or tonumber(at) > now then return {"later"} end
if state == "DONE" then
  due(now + tonumber(ARGV[5]))
  return {"recheck", get("task"), get("kind"), get("organization"), get("final")}
end
if get("task") == "chord_batch" then -- driven by its own Celery message, which is acknowledged late
  due(now + max_wait)
  return {"later"}
end
local function wait(times) return math.min(first_wait * 2 ^ math.min(times, 20), max_wait) end
if state ~= "ARMED" then
  local ends = number("lease_ends")
  if get("owner") ~= "" and ends > now then
    due(ends)
    return {"later"}
  end
  local rings = redis.call("HINCRBY", META, "rings", 1)
  due(now + wait(rings))
  return {state, get("task"), get("kind"), tostring(rings), get("stop") or "0"}
end
local kind, budget, stop = get("kind"), 0, get("stop") or "0"
for i = 6, #ARGV, 2 do
  if ARGV[i] == kind then budget = tonumber(redis.call("HGET", UNCLAIMED, kind) or "0") - tonumber(ARGV[i + 1]) end
end
local ring = {}
for _, batch in ipairs(redis.call("ZRANGE", RINGS, "-inf", string.format("%.0f", now), "BYSCORE", "LIMIT", 0, limit)) do
  local times = tonumber(redis.call("HGET", RUNG, batch) or "0")
  if times == 0 then redis.call("HINCRBY", UNCLAIMED, kind, 1) end
  if times == 0 or budget > 0 or stop == "1" then
    if times > 0 then budget = budget - 1 end
    ring[#ring + 1] = batch
    redis.call("HSET", RUNG, batch, times + 1)
  end
  redis.call("ZADD", RINGS, string.format("%.0f", now + wait(times)), batch)
end
look_again()
return {"ARMED", get("task"), kind, get("epoch"), ring, stop}
