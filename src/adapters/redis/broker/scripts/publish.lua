-- Publishes entries. ARGV: now, ttl, size, meta ttl (milliseconds), histories that were left, PUBLISH or SPUBLISH, where
-- to, then event (or '') and body of each entry. Returns nil if the channel has no epoch here,
-- else the epoch, what names this data, and the offset of each entry.
local now, ttl, size, meta_ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local verb, audience = ARGV[6], ARGV[7]
local epoch, top, _, here = stream_here(ARGV[5])
if not epoch then
  return nil
end
trim(top, size, tonumber(now) - ttl)
local reply = { epoch, here }
for i = 8, #ARGV, 2 do
  local event, body = ARGV[i], ARGV[i + 1]
  local known = event ~= '' and redis.call('ZSCORE', EVENTS, event)
  if known then
    reply[#reply + 1] = text(tonumber(known))
  else
    reply[#reply + 1] = text(publish(epoch, now, size, verb, audience, event, body))
  end
end
keep(ttl, meta_ttl)
return reply
