-- stop(run): no further file starts; the run ends STOPPED.
local state = get("state")
if state and state ~= "DONE" then redis.call("HSET", META, "stop", "1") end
return state or ""
