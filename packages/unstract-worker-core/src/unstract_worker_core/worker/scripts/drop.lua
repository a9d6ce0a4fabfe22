-- KEYS: the unacknowledged, their index. ARGV: the delivery tag.
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])
