-- await_answer(run, epoch, batch, token, number, delay_ms): give the batch back until the file's answer comes, or until
-- the delay is over. Charges nothing. Returns {"answered", answer} if it is there: then the lease stays.
local lease = holds_batch(ARGV[2], ARGV[3], ARGV[4])
if not lease then return {"lost"} end
local answer = redis.call("HGET", ANSWERS, ARGV[5])
if answer then return {"answered", answer} end
lease.owner, lease.file, lease.ends = "", 0, 0
save_lease(ARGV[3], lease)
redis.call("ZADD", RINGS, string.format("%.0f", now + tonumber(ARGV[6])), ARGV[3])
look_again()
return {"parked"}
