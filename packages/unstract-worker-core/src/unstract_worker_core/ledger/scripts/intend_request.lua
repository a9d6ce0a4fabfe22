-- intend_request(run, epoch, batch, token, number, nonce, wait_ms, max_charges): a request for the file is about to be
-- sent to an executor that answers later. `nonce` names this sending: the same nonce again, the same answer,
-- unless the answer to the request before came in between.
-- One that is under way is not sent again before its time is over; then it is, and the file is charged for it, unless it
-- was for the death of the worker that sent it. The request before is kept with the new one: it may be answered still.
-- Returns {"lost"}, {"stopped"}, {"answered"}, {"waiting", ms left}, {"given_up"} or {"send"}.
local number_of, nonce = ARGV[5], ARGV[6]
if not holds_batch(ARGV[2], ARGV[3], ARGV[4]) then return {"lost"} end
local raw = redis.call("HGET", REQUESTS, number_of)
local before = raw and cjson.decode(raw)
for _, key in ipairs({ANSWERS, EXECUTED, RESULTS}) do
  if redis.call("HEXISTS", key, number_of) == 1 then return {"answered"} end
end
if before and before.nonce == nonce then return {before.state == "given_up" and "given_up" or "send"} end
if before and before.expires > now then return {"waiting", tostring(before.expires - now)} end
if number("stop") ~= 0 then return {"stopped"} end
local state, charge = "intended", 0
if before and before.state ~= "given_up" then
  charge = before.charged and 0 or 1
  local charges = redis.call("HINCRBY", CHARGES, number_of, charge)
  if charges >= tonumber(ARGV[8]) then state = "given_up" end
end
redis.call("HSET", REQUESTS, number_of, cjson.encode({state = state, nonce = nonce, at = now,
  expires = now + tonumber(ARGV[7]), before = before or nil, charge = charge}))
return {state == "given_up" and state or "send"}
