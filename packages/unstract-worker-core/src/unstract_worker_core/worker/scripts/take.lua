-- KEYS: the unacknowledged, their index, then the queues in the order to try them. ARGV: the time, the limit in bytes.
-- Answers nil where all are empty, or {verdict, queue key, delivery tag, item, 1 if there is more}. The pop comes first:
-- Redis lets a script that has written go on, even when it is out of memory. The note is kombu's: [item, exchange, routing
-- key]. Its tag must read the same here and there: another kind of text could be noted, and never be forgotten.
local function more(from)
  for number = from, #KEYS do
    if redis.pcall('LLEN', KEYS[number]) ~= 0 then return 1 end -- also where it is refused
  end
  return 0
end
for number = 3, #KEYS do
  local item = redis.call('RPOP', KEYS[number])
  if item then
    if #item > tonumber(ARGV[2]) then return {'large', KEYS[number], '', '', more(number)} end
    local fine, message = pcall(cjson.decode, item)
    local properties = fine and type(message) == 'table' and message.properties
    local route = type(properties) == 'table' and properties.delivery_info
    if type(route) ~= 'table' or route.exchange == nil or route.routing_key == nil
        or type(properties.delivery_tag) ~= 'string' or not string.find(properties.delivery_tag, '^[!-~]+$') then
      return {'malformed', KEYS[number], '', '', more(number)}
    end
    local where = cjson.encode(route.exchange) .. ',' .. cjson.encode(route.routing_key)
    local noted = redis.pcall('HSET', KEYS[1], properties.delivery_tag, '[' .. item .. ',' .. where .. ']')
    if type(noted) == 'number' then noted = redis.pcall('ZADD', KEYS[2], ARGV[1], properties.delivery_tag) end
    if type(noted) ~= 'number' then -- refused: the user may not, or the key is something else
      redis.call('RPUSH', KEYS[number], item)
      return noted
    end
    return {'taken', KEYS[number], properties.delivery_tag, item, more(number)}
  end
end
return nil
