// infrastructure/redis/redis_scripts.hpp — the steps that Redis does whole or not at all. KEYS[1] is the queue's
// stream.
//
// An entry has the fields m, the text of the message, and r, when it was given back. All take a stream or a group that
// is gone for what it is: nothing to do.
#pragma once

#include <string_view>

namespace scheduler::infrastructure::redis_scripts {

// ARGV: most entries, expiry in ms, messages… Answers how many fit, or -1: none was taken.
inline constexpr std::string_view kPublish = R"lua(
if redis.call('XLEN', KEYS[1]) + #ARGV - 2 > tonumber(ARGV[1]) then return -1 end
for i = 3, #ARGV do redis.call('XADD', KEYS[1], '*', 'm', ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return #ARGV - 2
)lua";

// ARGV: group, entries…
inline constexpr std::string_view kAcknowledge = R"lua(
redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 2))
return redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
)lua";

// ARGV: group, consumer, entries… Those still pending with this consumer become new entries: streams have no way back,
// and a new entry wakes whoever waits.
inline constexpr std::string_view kGiveBack = R"lua(
local n = 0
for i = 3, #ARGV do
  local mine = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])
  if mine.err then return n end
  local entry = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
  if #mine == 1 and entry then
    for f = 1, #entry[2], 2 do
      if entry[2][f] == 'm' then redis.call('XADD', KEYS[1], '*', 'm', entry[2][f + 1], 'r', '1') end
    end
    redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
    redis.call('XDEL', KEYS[1], ARGV[i])
    n = n + 1
  end
end
return n
)lua";

// ARGV: group, consumer. The same for all that it has, and the consumer is forgotten.
inline constexpr std::string_view kClose = R"lua(
local mine = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 100000, ARGV[2])
if mine.err then return 0 end
for _, it in ipairs(mine) do
  local entry = redis.call('XRANGE', KEYS[1], it[1], it[1])[1]
  if entry then
    for f = 1, #entry[2], 2 do
      if entry[2][f] == 'm' then redis.call('XADD', KEYS[1], '*', 'm', entry[2][f + 1], 'r', '1') end
    end
  end
  redis.call('XACK', KEYS[1], ARGV[1], it[1])
  redis.call('XDEL', KEYS[1], it[1])
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return #mine
)lua";

// KEYS[2]: the dead letters. ARGV: group, entry, queue, why, most dead letters. Answers 0 where it was gone.
inline constexpr std::string_view kDeadLetter = R"lua(
local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
if not entry then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'queue', ARGV[3], 'why', ARGV[4], unpack(entry[2]))
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
return 1
)lua";

// ARGV: group, consumer, least idle time in ms, cursor, most entries, expiry in ms. Answers {next cursor, entries};
// forgets consumers that hold nothing and have been silent for ten times as long: nobody else would.
inline constexpr std::string_view kClaim = R"lua(
local claimed = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local it = {}
  for f = 1, #row, 2 do it[row[f]] = row[f + 1] end
  if it.pending == 0 and it.idle > 10 * tonumber(ARGV[3]) and it.name ~= ARGV[2] then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], it.name)
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {claimed[1], claimed[2]}
)lua";

// ARGV: group, consumer, entries… Those still pending with this consumer count as worked on.
inline constexpr std::string_view kRenew = R"lua(
for i = 3, #ARGV do
  local mine = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])
  if mine.err then return 0 end
  if #mine == 1 then redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID') end
end
return 1
)lua";

}  // namespace scheduler::infrastructure::redis_scripts
