-- clear_recheck(run): the second read-back of a finished run is over; nothing is left to look at.
if get("state") == "DONE" then redis.call("ZREM", DUE, run) end
return 1
