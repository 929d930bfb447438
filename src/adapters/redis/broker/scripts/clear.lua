-- Forgets the publications of a stream, which goes on after them. ARGV: now, ttl, size, meta ttl, histories that were left.
if stream_here(ARGV[5]) then
  redis.call('DEL', STREAM, EVENTS)
end
return 1
