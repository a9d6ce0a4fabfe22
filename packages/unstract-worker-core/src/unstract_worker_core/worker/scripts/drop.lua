-- KEYS: the unacknowledged, their index. ARGV: delivery tags.
redis.call('ZREM', KEYS[2], unpack(ARGV))
return redis.call('HDEL', KEYS[1], unpack(ARGV))
