-- withdraw_request(run, epoch, number, nonce): the request that was intended was certainly not sent. The request before
-- it and the charges are again what they were.
local number_of = ARGV[3]
local raw = get("epoch") == ARGV[2] and redis.call("HGET", REQUESTS, number_of)
local request = raw and cjson.decode(raw)
if not request or request.nonce ~= ARGV[4] or request.state ~= "intended" then return 1 end
if request.before then -- release 0.x and the first ones of 1.0 kept none
  redis.call("HSET", REQUESTS, number_of, cjson.encode(request.before))
else
  redis.call("HDEL", REQUESTS, number_of)
end
if (request.charge or 0) > 0 and redis.call("HINCRBY", CHARGES, number_of, -request.charge) <= 0 then
  redis.call("HDEL", CHARGES, number_of)
end
return 1
