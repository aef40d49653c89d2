import { createHash } from 'node:crypto';

/** A script that the store runs as one step. Its first key is always the epoch of its slot. */
export interface StoreScript {
  readonly name: string;
  readonly text: string;
  readonly sha1: string;
}

/**
 * What all scripts begin with. `now` is the store's clock, in milliseconds: the clocks of the instances may differ. The
 * epoch is when the store began to count: it is lost with everything else, so that a young one means that what other
 * instances hold may not be known yet.
 */
const PRELUDE = `
local function whole(number) return number - number % 1 end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + whole(tonumber(time[2]) / 1000)
local epoch = tonumber(redis.call('GET', KEYS[1]))
if not epoch then
  epoch = now
  redis.call('SET', KEYS[1], string.format('%.0f', now))
end
redis.call('PEXPIRE', KEYS[1], 86400000)
local input = cjson.decode(ARGV[1])
local function text(number) return string.format('%.3f', number) end
`;

const script = (name: string, body: string): StoreScript => {
  const text = PRELUDE + body;
  return { name, text, sha1: createHash('sha1').update(text).digest('hex') };
};

/** Registers an instance until its lease ends, and counts those that live. */
export const HELLO = script(
  'hello',
  `
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. text(now))
if input.leaves then redis.call('ZREM', KEYS[2], input.me)
else redis.call('ZADD', KEYS[2], text(now + input.leaseMs), input.me) end
redis.call('PEXPIRE', KEYS[2], 86400000)
return { text(epoch), redis.call('ZCARD', KEYS[2]) }
`,
);

/**
 * One report of an instance about several limits, and the leases that it gets for them. For each: \`rate\` and \`burst\` of
 * the configuration, \`issued\` (bytes that its lease has given it since its last report), \`gates\` that wait, \`demand\` in
 * bytes per second (-1: more than it gets), \`background\` gates, and \`held\`, the rate that it has now.
 *
 * \`c\` is the credit of the limit: it grows at the rate, and falls by all that was issued. What live leases have given
 * since they were reported is \`open\`. The sum of live leases never exceeds the rate; what they leave is handed out once, as
 * \`bytes\`, so that the long-run mean is exact.
 */
export const REPORT = script(
  'report',
  `
local RESERVE = 15 / 16
local replies = {}
local isLearning = now - epoch < input.learnMs
for index, one in ipairs(input.limits) do
  local key = KEYS[index + 1]
  local raw = redis.call('HGETALL', key)
  local credit, at
  local others = {}
  local open = 0
  local taken = 0
  for field = 1, #raw, 2 do
    local name, value = raw[field], raw[field + 1]
    if name == 'c' then credit = tonumber(value)
    elseif name == 'at' then at = tonumber(value)
    elseif name ~= 'i:' .. input.me then
      local other = cjson.decode(value)
      other.name = name
      others[#others + 1] = other
    end
  end
  if not credit then
    credit = isLearning and 0 or one.burst
    at = now
  end
  credit = credit + one.rate * math.max(0, now - at) / 1000 - one.issued
  local live = {}
  for _, other in ipairs(others) do
    local givenMs = math.max(0, math.min(now, other.untilMs) - other.sinceMs)
    if other.untilMs < now then
      credit = credit - other.rate * givenMs / 1000
      redis.call('HDEL', key, other.name)
    else
      open = open + other.rate * givenMs / 1000
      taken = taken + other.rate
      live[#live + 1] = other
    end
  end
  if credit - open > one.burst then credit = one.burst + open end
  if credit - open < -2 * one.rate then credit = open - 2 * one.rate end
  local free = credit - open

  local grant, bytes = 0, 0
  if one.leaves then
    redis.call('HDEL', key, 'i:' .. input.me)
  else
    local usable = one.rate * math.max(0.9, math.min(1, 1 + free / (2 * one.rate)))
    local claims = { { mine = true, gates = one.gates, demand = one.demand, background = one.background } }
    for _, other in ipairs(live) do claims[#claims + 1] = other end
    local wanting, gates, background = {}, 0, 0
    for _, claim in ipairs(claims) do
      claim.share = 0
      background = background + claim.background
      if claim.demand ~= 0 then
        claim.weight = math.max(1, claim.gates)
        gates = gates + claim.weight
        wanting[#wanting + 1] = claim
      end
    end
    local level = function(claim) return claim.demand < 0 and math.huge or claim.demand / claim.weight end
    table.sort(wanting, function(a, b) return level(a) < level(b) end)
    local rest, weights, backlogged = usable * RESERVE, gates, 0
    for _, claim in ipairs(wanting) do
      local fair = rest * claim.weight / weights
      claim.share = claim.demand < 0 and fair or math.min(claim.demand, fair)
      if claim.demand < 0 then backlogged = backlogged + claim.weight end
      rest = rest - claim.share
      weights = weights - claim.weight
    end
    for _, claim in ipairs(claims) do
      if background > 0 then claim.share = claim.share + rest * claim.background / background
      else claim.share = claim.share + rest / #claims end
    end
    grant = math.max(0, math.min(claims[1].share, usable - taken))
    if isLearning then grant = math.min(grant, one.held) end
    if free > 0 and not isLearning then
      if one.demand < 0 then bytes = free * math.max(1, one.gates) / backlogged
      elseif one.background > 0 and backlogged == 0 then bytes = free / 2 * one.background / background end
      bytes = whole(bytes)
      credit = credit - bytes
    end
    redis.call('HSET', key, 'i:' .. input.me, cjson.encode({
      rate = grant, sinceMs = now, untilMs = now + input.leaseMs,
      gates = one.gates, demand = one.demand, background = one.background,
    }))
  end
  redis.call('HSET', key, 'c', text(credit), 'at', text(now))
  redis.call('PEXPIRE', key, 60000 + math.ceil(2000 * one.burst / one.rate))
  replies[index] = { text(grant), text(bytes) }
end
return { text(epoch), isLearning and 1 or 0, replies }
`,
);

/**
 * Admits requests, each wholly or not at all. \`counts\` are the tunnels that the instance has now, by key: they are set and
 * not added, so that what was lost with a message or with the store is right again. Every reply is \`{0}\`, or
 * \`{kind, index, waitMs}\`: 1 a request rate, 2 a quota, 3 tunnels, 4 the store has just begun to count.
 */
export const ADMIT = script(
  'admit',
  `
local isLearning = now - epoch < input.learnMs
local function count(key)
  local raw = redis.call('HGETALL', key)
  local sum = 0
  for field = 1, #raw, 2 do
    if raw[field] == input.me then sum = sum + tonumber(raw[field + 1])
    else
      local until_ = redis.call('ZSCORE', KEYS[2], raw[field])
      if until_ and tonumber(until_) >= now then sum = sum + tonumber(raw[field + 1])
      else redis.call('HDEL', key, raw[field]) end
    end
  end
  return sum
end
for _, one in ipairs(input.counts) do
  local key = KEYS[one[1]]
  if one[2] > 0 then
    redis.call('HSET', key, input.me, one[2])
    redis.call('PEXPIRE', key, 86400000)
  else redis.call('HDEL', key, input.me) end
end
local function refusal(request)
  for index, one in ipairs(request.quotas) do
    local used, since = unpack(redis.call('HMGET', KEYS[one[1]], 'u', 's'))
    if since and now < tonumber(since) + one[3] and tonumber(used) >= one[2] then
      return { 2, index, text(tonumber(since) + one[3] - now) }
    end
  end
  local tats = {}
  for index, one in ipairs(request.rates) do
    local emission = 1000 / one[2]
    local kept = tonumber(redis.call('GET', KEYS[one[1]]))
    if not kept and isLearning then kept = now + (one[3] - 1) * emission end
    local tat = math.max(now, kept or now) + emission
    local waitMs = tat - one[3] * emission - now
    if waitMs > 0.001 then return { 1, index, text(waitMs) } end
    tats[index] = tat
  end
  if #request.tunnels > 0 and isLearning then return { 4, 1, text(epoch + input.learnMs - now) } end
  for index, one in ipairs(request.tunnels) do
    if one[2] > 0 and count(KEYS[one[1]]) >= one[2] then return { 3, index, '0' } end
  end
  for index, one in ipairs(request.rates) do
    redis.call('SET', KEYS[one[1]], text(tats[index]), 'PX', math.ceil(tats[index] - now) + 1000)
  end
  for _, one in ipairs(request.tunnels) do
    redis.call('HINCRBY', KEYS[one[1]], input.me, 1)
    redis.call('PEXPIRE', KEYS[one[1]], 86400000)
  end
  return { 0 }
end
local replies = {}
for index, request in ipairs(input.requests) do replies[index] = refusal(request) end
return { text(epoch), replies }
`,
);

/**
 * Leases bytes of quotas. For each: \`max\` and \`everyMs\` of the configuration, \`spent\` without a lease, \`back\` that is not
 * used, \`want\`, and what the instance knows (\`used\` since \`sinceMs\` on the store's clock), which a store that has lost it
 * takes over. A lease is 1 % of what is left; at the end, what is wanted.
 */
export const QUOTA = script(
  'quota',
  `
local replies = {}
for index, one in ipairs(input.quotas) do
  local key = KEYS[index + 1]
  local used, since = unpack(redis.call('HMGET', key, 'u', 's'))
  used, since = tonumber(used or 0), tonumber(since)
  if since and now >= since + one.everyMs then used, since = 0, nil end
  if one.sinceMs > 0 and now < one.sinceMs + one.everyMs and (not since or since >= one.sinceMs) then
    if not since or since > one.sinceMs then
      used = one.used + used
    else
      used = math.max(used, one.used)
    end
    since = one.sinceMs
  end
  if not since or used == 0 then since = now end
  used = math.max(0, used + one.spent - one.back)
  local left = math.max(0, one.max - used)
  local lease = math.max(whole(left / 100), input.leastBytes)
  local bytes = math.min(left, one.want, lease)
  used = used + bytes
  redis.call('HSET', key, 'u', string.format('%.0f', used), 's', text(since))
  redis.call('PEXPIRE', key, math.ceil(since + one.everyMs - now) + 60000)
  replies[index] = { string.format('%.0f', bytes), string.format('%.0f', used), text(since), text(since + one.everyMs - now) }
end
return { text(epoch), replies }
`,
);

/**
 * What one instance has learned for all: \`field\` is read, or written, or all of them are removed. Beyond \`max\` fields no
 * new one is kept: each would cost memory for as long as the store lives.
 */
export const TABLE = script(
  'table',
  `
local key = KEYS[2]
if input.clear then redis.call('DEL', key)
elseif input.value == '' then redis.call('HDEL', key, input.field)
elseif input.value then
  if redis.call('HEXISTS', key, input.field) == 1 or redis.call('HLEN', key) < input.max then
    redis.call('HSET', key, input.field, input.value)
  end
  redis.call('PEXPIRE', key, 2592000000)
end
return { text(epoch), redis.call('HGET', key, input.field) or '' }
`,
);
