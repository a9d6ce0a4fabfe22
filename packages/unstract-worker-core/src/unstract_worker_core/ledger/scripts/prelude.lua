-- Shared by every script. ARGV[1] is the run's id; all keys of one run share its hash tag.
-- Time is Redis's own: workers' clocks decide nothing.
local run = ARGV[1]
local base = "uw:{" .. run .. "}:"
local META, START, CONTEXT, JOURNAL = base .. "meta", base .. "start", base .. "context", base .. "journal"
local LEASES, RINGS, RUNG = base .. "leases", base .. "rings", base .. "rung"
local OUTCOMES, RESULTS, EXECUTED, CHARGES = base .. "outcomes", base .. "results", base .. "executed", base .. "charges"
local REQUESTS, ANSWERS = base .. "requests", base .. "answers" -- of executors that answer later
local OPEN, DUE, UNCLAIMED, SEEN = "uw:open", "uw:due", "uw:unclaimed", "uw:organizations"
local clock = redis.call("TIME")
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function get(field) return redis.call("HGET", META, field) end
local function number(field) return tonumber(get(field) or "0") end
local function due(at) redis.call("ZADD", DUE, string.format("%.0f", at), run) end
local function batches_key(epoch) return base .. "batches:" .. epoch end

-- The run's own lease (orchestrating or finalising), held by a claim's token.
local function holds_run(token) return get("owner") == token end

-- The lease of one batch: a small JSON record {owner, fence, ends, file, first}.
local function lease_of(batch)
  local raw = redis.call("HGET", LEASES, batch)
  if raw then return cjson.decode(raw) end
  return {owner = "", fence = 0, ends = 0, file = 0, first = 0}
end
local function save_lease(batch, lease) redis.call("HSET", LEASES, batch, cjson.encode(lease)) end
local function holds_batch(epoch, batch, token)
  if get("state") ~= "ARMED" or get("epoch") ~= epoch then return nil end
  local lease = lease_of(batch)
  if lease.owner ~= token then return nil end
  return lease
end
-- No doorbell of this batch is waited for any more.
local function answered(batch)
  if redis.call("HDEL", RUNG, batch) == 1 then redis.call("HINCRBY", UNCLAIMED, get("kind"), -1) end
end
-- The file has its outcome: what led to it is not needed any more. A finaliser of release 0.x knows nothing of requests.
local function forget_file(number_of)
  for _, key in ipairs({EXECUTED, REQUESTS, ANSWERS}) do redis.call("HDEL", key, number_of) end
end
-- An armed run is due when the first of its batches is.
local function look_again()
  local first = redis.call("ZRANGE", RINGS, 0, 0, "WITHSCORES")
  if first[2] then due(tonumber(first[2])) end
end
