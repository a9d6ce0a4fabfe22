-- claim_run(run, token, wanted_state, lease_ms): lease a run for orchestrating or finalising.
-- A lapsed lease counts as a failed attempt; a lease that was released does not.
-- An armed run (it has its context) is answered without its start message and without what its journal holds for
-- starting only: a list of 100,000 files takes 25 MB.
local function for_starting(field, marks_released)
  return field == "files" or field == "before" or field:sub(1, 4) == "row:"
    or (marks_released and field:sub(1, 6) == "marks:")
end
local function journal_of_armed()
  local found, marks_released = {}, redis.call("HEXISTS", JOURNAL, "marks released") == 1
  for _, field in ipairs(redis.call("HKEYS", JOURNAL)) do
    if not for_starting(field, marks_released) then
      found[#found + 1] = field
      found[#found + 1] = redis.call("HGET", JOURNAL, field)
    end
  end
  return found
end
local state = get("state")
if state ~= ARGV[3] then return {"closed", state or ""} end
local owner, ends = get("owner"), number("lease_ends")
if owner ~= "" and owner ~= ARGV[2] and ends > now then return {"busy", tostring(ends - now)} end
if owner ~= ARGV[2] then
  if owner ~= "" then redis.call("HINCRBY", META, "attempts", 1) end
  redis.call("HINCRBY", META, "fence", 1)
end
ends = now + tonumber(ARGV[4])
redis.call("HSET", META, "owner", ARGV[2], "lease_ends", tostring(ends), "rings", "0", "progress", tostring(now))
due(ends)
local context = redis.call("GET", CONTEXT)
if context then return {"leased", get("fence"), redis.call("HGETALL", META), "", context, journal_of_armed()} end
return {"leased", get("fence"), redis.call("HGETALL", META), redis.call("GET", START), context,
  redis.call("HGETALL", JOURNAL)}
