-- note_published(run, epoch, batch, token, number, nonce, wait_ms): the broker has the request; an answer is waited for
-- this long. Done whether or not the lease is still held. While the answer is out the file is not in flight here: a worker that
-- dies meanwhile must not be blamed on it. Returns whether it is noted.
local raw = get("epoch") == ARGV[2] and redis.call("HGET", REQUESTS, ARGV[5])
local request = raw and cjson.decode(raw)
if not request or request.nonce ~= ARGV[6] then return 0 end
if request.state == "intended" then
  request.state, request.at, request.expires = "published", now, now + tonumber(ARGV[7])
  redis.call("HSET", REQUESTS, ARGV[5], cjson.encode(request))
end
local lease = holds_batch(ARGV[2], ARGV[3], ARGV[4])
if lease and lease.file == tonumber(ARGV[5]) then
  lease.file = 0
  save_lease(ARGV[3], lease)
end
redis.call("HSET", META, "progress", tostring(now))
return 1
