-- clear_recheck(run): the second read-back of a finished run is over; the run is not due any more.
if get("state") == "DONE" then redis.call("ZREM", DUE, run) end
return 1
