-- Reads a page. ARGV: now, ttl, size, meta ttl (milliseconds), histories that were left, '1' if latest first, the range's
-- first and last id, how many. Returns nil if the channel has no epoch here, else epoch, top, seeded, oldest, entries,
-- what names this data, and for how long nothing was published in earlier epochs (milliseconds).
local epoch, top, seeded, here = stream_here(ARGV[5])
if not epoch then
  return nil
end
local oldest = trim(top, tonumber(ARGV[3]), tonumber(ARGV[1]) - tonumber(ARGV[2]))
redis.call('PEXPIRE', META, ARGV[4])
local entries = {}
if tonumber(ARGV[9]) > 0 then
  if ARGV[6] == '1' then
    entries = redis.call('XREVRANGE', STREAM, ARGV[8], ARGV[7], 'COUNT', ARGV[9])
  else
    entries = redis.call('XRANGE', STREAM, ARGV[7], ARGV[8], 'COUNT', ARGV[9])
  end
end
return { epoch, text(top), seeded, text(oldest), entries, here, text(age(epoch, here, ARGV[5])) }
