-- overdue(_, limit): ids of the runs that are due, oldest first.
return redis.call("ZRANGE", DUE, "-inf", string.format("%.0f", now), "BYSCORE", "LIMIT", 0, tonumber(ARGV[2]))
