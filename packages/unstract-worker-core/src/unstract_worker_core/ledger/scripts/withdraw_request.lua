-- withdraw_request(run, epoch, number, nonce): the request that was intended was certainly not sent.
local raw = get("epoch") == ARGV[2] and redis.call("HGET", REQUESTS, ARGV[3])
local request = raw and cjson.decode(raw)
if request and request.nonce == ARGV[4] and request.state == "intended" then redis.call("HDEL", REQUESTS, ARGV[3]) end
return 1
