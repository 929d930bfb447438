-- Publishes an entry that tells a version, unless that does not succeed the last one. ARGV as for those without, then
-- event (or ''), body, version (20 digits) and version epoch of the one entry. Returns the same; the offset is 0 if nothing
-- was published.
local now, ttl, size, meta_ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local event, version, version_epoch = ARGV[8], ARGV[10], ARGV[11]
local epoch, top, _, here = stream_here(ARGV[5])
if not epoch then
  return nil
end
trim(top, size, tonumber(now) - ttl)
local known = event ~= '' and redis.call('ZSCORE', EVENTS, event)
if known then
  return { epoch, here, text(tonumber(known)) }
end
local last = redis.call('HMGET', META, 'version', 'version_epoch')
local compares = last[1] and (version_epoch == '' or version_epoch == last[2])
if compares and version <= last[1] then
  return { epoch, here, '0' }
end
redis.call('HSET', META, 'version', version, 'version_epoch', version_epoch)
local offset = publish(epoch, now, size, ARGV[6], ARGV[7], event, ARGV[9])
keep(ttl, meta_ttl)
return { epoch, here, text(offset) }
