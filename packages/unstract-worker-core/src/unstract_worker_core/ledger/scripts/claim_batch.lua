-- claim_batch(run, epoch, batch, token, lease_ms): closed, done, unknown, busy or leased.
-- A lapsed lease charges the one file that was in flight, and nothing else.
local epoch, batch, token = ARGV[2], ARGV[3], ARGV[4]
local state = get("state")
if state ~= "ARMED" or get("epoch") ~= epoch then return {"closed", state or ""} end
if redis.call("HEXISTS", OUTCOMES, batch) == 1 then return {"done"} end
local files = redis.call("HGET", batches_key(epoch), batch)
if not files then return {"unknown"} end
answered(batch)
local lease = lease_of(batch)
if lease.owner ~= token then
  if lease.owner ~= "" and lease.ends > now then return {"busy", tostring(lease.ends - now)} end
  if lease.owner ~= "" and lease.file ~= 0 then
    redis.call("HINCRBY", CHARGES, lease.file, 1)
    local raw = redis.call("HGET", REQUESTS, lease.file)
    if raw then -- sending it again belongs to the same try
      local request = cjson.decode(raw)
      request.charged = true
      redis.call("HSET", REQUESTS, lease.file, cjson.encode(request))
    end
  end
  lease.owner, lease.fence, lease.file = token, lease.fence + 1, 0
  if lease.first == 0 then lease.first = now end
end
lease.ends = now + tonumber(ARGV[5])
save_lease(batch, lease)
redis.call("ZADD", RINGS, string.format("%.0f", lease.ends), batch)
redis.call("HSET", META, "progress", tostring(now))
look_again()
local progress = {}
for _, file in ipairs(cjson.decode(files)) do
  local field = tostring(file.number)
  progress[#progress + 1] = {field, redis.call("HEXISTS", RESULTS, field), redis.call("HGET", CHARGES, field) or "0",
    redis.call("HGET", EXECUTED, field) or "", redis.call("HGET", REQUESTS, field) or "",
    redis.call("HGET", ANSWERS, field) or ""}
end
return {"leased", tostring(lease.fence), files, redis.call("GET", CONTEXT), tostring(now - lease.first),
  get("stop") or "0", progress, tostring(now), tostring(now - number("armed_at")), get("last_error") or ""}
