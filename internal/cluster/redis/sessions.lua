-- Changes the record of a session or user if it has still the revision that its writer has read; an
-- empty one is no record. Answers 1, or 0 if somebody else has changed it.
local record, was = KEYS[1], ARGV[1]
if (redis.call('HGET', record, 'rev') or '') ~= was then return 0 end
if #ARGV == 1 then
  redis.call('DEL', record)
  return 1
end
local rev, value, ttl = ARGV[2], ARGV[3], tonumber(ARGV[4])
redis.call('HSET', record, 'rev', rev, 'value', value)
if ttl > 0 then redis.call('PEXPIRE', record, ttl) else redis.call('PERSIST', record) end
return 1
