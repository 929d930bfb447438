-- Reads a page. ARGV: now, ttl, size, meta ttl (milliseconds), '1' if latest first, the range's first and last id,
-- how many. Returns nil if the channel has no epoch here, else epoch, top, seeded, oldest, entries.
local epoch, top, seeded = stream_here()
if not epoch then
  return nil
end
local oldest = trim(top, tonumber(ARGV[3]), tonumber(ARGV[1]) - tonumber(ARGV[2]))
redis.call('PEXPIRE', META, ARGV[4])
local entries = {}
if tonumber(ARGV[8]) > 0 then
  if ARGV[5] == '1' then
    entries = redis.call('XREVRANGE', STREAM, ARGV[7], ARGV[6], 'COUNT', ARGV[8])
  else
    entries = redis.call('XRANGE', STREAM, ARGV[6], ARGV[7], 'COUNT', ARGV[8])
  end
end
return { epoch, text(top), seeded, text(oldest), entries }
