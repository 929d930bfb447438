-- What all scripts of a channel share. Every key stands under the channel's hash tag:
-- META, a hash: epoch, top, seeded, replid, and of the last version that was told: version, version_epoch; before the epoch has begun the witnesses `w:<nonce>`.
-- STREAM, with ids `<offset>-<milliseconds at which it was published>` and the fields e (event) and b (body).
-- EVENTS, a sorted set: the events of the stream, by offset.
-- BEGAN, a hash: since when epochs have begun on this data. All channels of a server share it; on a cluster each has one.
local META, STREAM, EVENTS, BEGAN = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- Names the history of this server's data. It is another one after a failover, a restart, or on another shard.
local function replid()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
end

-- Numbers as Redis writes them; Lua alone would write large ones as 1e+15.
local function text(number)
  return string.format('%.0f', number)
end

-- The epoch, the top, what was seeded and what names this data, if the stream is the one that this data began. `left`
-- are histories that the caller left, each `<replid>=<epoch> `: on those, lower epochs are over.
local function stream_here(left)
  local meta, here = redis.call('HMGET', META, 'epoch', 'top', 'seeded', 'replid'), replid()
  local floor = string.match(left, here .. '=(%w+) ') or ''
  if meta[1] and meta[4] == here and meta[1] > floor then
    return meta[1], tonumber(meta[2]), meta[3], here
  end
end

-- For how many milliseconds nothing has been published here in an epoch that is over: since the first epoch began on what
-- this server holds. `epoch` is one that goes on.
local function age(epoch, here, left)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local floor = string.match(left, here .. '=(%w+) ') or ''
  local began = redis.call('HMGET', BEGAN, 'epoch', 'replid', 'at')
  if began[1] and began[2] == here and began[1] > floor then
    return math.max(0, now - tonumber(began[3]))
  end
  redis.call('HSET', BEGAN, 'epoch', epoch, 'replid', here, 'at', text(now))
  return 0
end

-- Drops what is more than `size` or older than `not_before`; returns the lowest offset that is left, or top + 1.
local function trim(top, size, not_before)
  local oldest = top + 1
  if top > size then
    redis.call('XTRIM', STREAM, 'MINID', text(top - size + 1))
  end
  while true do
    local first = redis.call('XRANGE', STREAM, '-', '+', 'COUNT', 1)[1]
    if not first then
      break
    end
    local offset, published = string.match(first[1], '^(%d+)-(%d+)$')
    if tonumber(published) >= not_before then
      oldest = tonumber(offset)
      break
    end
    redis.call('XTRIM', STREAM, 'MINID', text(tonumber(offset) + 1))
  end
  redis.call('ZREMRANGEBYSCORE', EVENTS, '-inf', '(' .. text(oldest))
  return oldest
end

-- Puts an entry at the end of the stream.
local function append(offset, millis, event, body)
  redis.call('XADD', STREAM, text(offset) .. '-' .. millis, 'e', event, 'b', body)
  if event ~= '' then
    redis.call('ZADD', EVENTS, text(offset), event)
  end
end

-- Puts an entry at the end of a stream that holds `size`, sends it out, and returns its offset.
local function publish(epoch, now, size, verb, audience, event, body)
  local top = redis.call('HINCRBY', META, 'top', 1)
  append(top, now, event, body)
  if top > size then
    redis.call('XTRIM', STREAM, 'MINID', text(top - size + 1))
    redis.call('ZREMRANGEBYSCORE', EVENTS, '-inf', text(top - size))
  end
  local name = event == '' and '-' or event
  redis.call(verb, audience, '1 ' .. epoch .. ' ' .. text(top) .. ' ' .. name .. ' ' .. body)
  return top
end

-- What is kept is forgotten when nobody has asked for it in a while; the meta key long after the stream.
local function keep(ttl, meta_ttl)
  redis.call('PEXPIRE', STREAM, ttl)
  redis.call('PEXPIRE', EVENTS, ttl)
  redis.call('PEXPIRE', META, meta_ttl)
end
