-- Who owns which channel. Every operation is one run of this script, so it is decided in one
-- order; each change has a revision and is published with it.
--
--   owners    hash: channel -> lease \n node \n revision \n claim \n services
--   leases    hash: lease -> node; a lease lasts as long as its key lease:<lease>
--   of:<l>    set: the channels of a lease
--   below     hash: name -> how many owned channels lie in it; below:<node>: how many of a node
--   rev       the last revision; the first one is the time, in microseconds: after a server has forgotten
--             everything, no event of before can pass for a new one
--   server    the process that has decided last; grace: another one has begun
--
-- The first write of what frees something is one that Redis allows also without memory, and then
-- it allows the rest; the first write of a claim is not, so it is refused as a whole.
local owners, base, out, op = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local publish = string.sub(out, 1, 1) == '{' and 'SPUBLISH' or 'PUBLISH'
local leases, below, revision = base .. 'leases', base .. 'below', base .. 'rev'

local function current()
  local rev = redis.call('GET', revision)
  if rev then return rev end
  local time = redis.call('TIME')
  rev = string.format('%.0f', time[1] * 1000000 + time[2])
  redis.call('SET', revision, rev)
  return rev
end

local function tell(kind, lease, node, channel, rest)
  current()
  local rev = string.format('%.0f', redis.call('INCR', revision))
  redis.call(publish, out, table.concat({rev, kind, lease, node, #channel, channel .. rest}, '\n'))
  return rev
end

local function parse(value)
  return string.match(value, '^([%w_-]+)\n([%w_-]+)\n(%d+)\n(%d+)\n(.*)$')
end

local function count(channel, node, by)
  local at = string.find(channel, '/', 1, true)
  while at do
    local name = string.sub(channel, 1, at - 1)
    for _, hash in ipairs({below, below .. ':' .. node}) do
      if redis.call('HINCRBY', hash, name, by) <= 0 then redis.call('HDEL', hash, name) end
    end
    at = string.find(channel, '/', at + 1, true)
  end
end

local function remove(channel, lease, node)
  redis.call('HDEL', owners, channel)
  redis.call('SREM', base .. 'of:' .. lease, channel)
  count(channel, node, -1)
end

-- finish ends a lease and frees its channels.
local function finish(lease, node)
  redis.call('DEL', base .. 'lease:' .. lease)
  redis.call('HDEL', leases, lease)
  local of = base .. 'of:' .. lease
  for _, channel in ipairs(redis.call('SMEMBERS', of)) do
    local value = redis.call('HGET', owners, channel)
    if value and parse(value) == lease then
      redis.call('HDEL', owners, channel)
      count(channel, node, -1)
    end
  end
  redis.call('DEL', of)
  return tell('end', lease, node, '', '')
end

local function lasts(lease) return redis.call('EXISTS', base .. 'lease:' .. lease) == 1 end

-- sweep ends the leases that nobody has renewed.
local function sweep()
  local all = redis.call('HGETALL', leases)
  for i = 1, #all, 2 do
    if not lasts(all[i]) then finish(all[i], all[i + 1]) end
  end
end

-- holder returns the lease and the node of a channel, and frees what belongs to nobody.
local function holder(channel)
  local value = redis.call('HGET', owners, channel)
  if not value then return nil end
  local lease, node = parse(value)
  if lease and lasts(lease) then return lease, node end
  if lease then
    remove(channel, lease, node)
    tell('free', lease, node, channel, '')
  else
    redis.call('HDEL', owners, channel)
  end
  return nil
end

-- welcome notes which process decides. Another one may have forgotten the last claims: for as long as
-- a lease lasts it gives channels only to those who had them.
local function welcome(run, up, ttl)
  local server = base .. 'server'
  local was = redis.call('GET', server)
  if was == run then return end
  if was or up < ttl then redis.call('SET', base .. 'grace', run, 'PX', was and ttl or ttl - up) end
  redis.call('SET', server, run)
end

if op == 'renew' then
  local lease, node, ttl, run, up = ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
  local there = redis.call('GET', base .. 'lease:' .. lease) == node and redis.call('HGET', leases, lease) == node
  if there then redis.call('PEXPIRE', base .. 'lease:' .. lease, ttl) end
  welcome(run, up, ttl)
  sweep()
  return {there and 'ok' or 'missing', current()}
elseif op == 'begin' then
  local lease, node, ttl, run, up = ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
  for i = 9, #ARGV do
    if redis.call('HGET', leases, ARGV[i]) == node then finish(ARGV[i], node) end
  end
  welcome(run, up, ttl)
  redis.call('SET', base .. 'lease:' .. lease, node, 'PX', ttl)
  redis.call('HSET', leases, lease, node)
  sweep()
  return {'ok', current()}
elseif op == 'claim' then
  local lease, node, channel, claim, services, again = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9] == '1'
  sweep()
  if redis.call('GET', base .. 'lease:' .. lease) ~= node then return {'lease', current()} end
  if not again and redis.call('EXISTS', base .. 'grace') == 1 then return {'grace', current()} end
  local _, other = holder(channel)
  if other then return {'taken', current(), other} end
  local at = string.find(channel, '/', 1, true)
  while at do
    _, other = holder(string.sub(channel, 1, at - 1))
    if other and other ~= node then return {'around', current(), other} end
    at = string.find(channel, '/', at + 1, true)
  end
  local all = tonumber(redis.call('HGET', below, channel) or 0)
  local mine = tonumber(redis.call('HGET', below .. ':' .. node, channel) or 0)
  if all > mine then
    other = ''
    local list = redis.call('HGETALL', leases)
    for i = 2, #list, 2 do
      if list[i] ~= node and redis.call('HEXISTS', below .. ':' .. list[i], channel) == 1 then other = list[i] end
    end
    if other ~= '' then return {'within', current(), other} end
  end
  local rev = tell('claim', lease, node, channel, claim .. '\n' .. services)
  redis.call('HSET', owners, channel, table.concat({lease, node, rev, claim, services}, '\n'))
  redis.call('SADD', base .. 'of:' .. lease, channel)
  count(channel, node, 1)
  return {'ok', rev}
elseif op == 'free' then
  local lease, channel, claim = ARGV[4], ARGV[5], ARGV[6]
  local value = redis.call('HGET', owners, channel)
  if value then
    local has, node, _, number = parse(value)
    if has == lease and number == claim then
      remove(channel, lease, node)
      return {'ok', tell('free', lease, node, channel, '')}
    end
  end
  return {'missing', current()}
elseif op == 'end' then
  local lease, node = ARGV[4], ARGV[5]
  if redis.call('HGET', leases, lease) == node then finish(lease, node) end
  return {'ok', current()}
elseif op == 'read' then
  sweep()
  local all = redis.call('HGETALL', owners)
  local list = {'ok', ''}
  for i = 1, #all, 2 do
    if holder(all[i]) then
      list[#list + 1] = all[i]
      list[#list + 1] = all[i + 1]
    end
  end
  list[2] = current()
  return list
elseif op == 'probe' then
  return {'ok', current()}
end
return redis.error_reply('unknown operation')
