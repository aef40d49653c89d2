import { script } from './script.ts';

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
    local open = kept(raw[field + 1], 0, 1e9)
    if raw[field] == input.me then sum = sum + (open or 0)
    else
      local until_ = redis.call('ZSCORE', KEYS[2], raw[field])
      if open and until_ and tonumber(until_) >= now then sum = sum + open
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
    used, since = kept(used, 0, 1e18), begun(since)
    if used and since and now < since + one[3] and used >= one[2] then
      return { 2, index, text(since + one[3] - now) }
    end
  end
  local tats = {}
  for index, one in ipairs(request.rates) do
    local emission = 1000 / one[2]
    local full = now + one[3] * emission
    local last = kept(redis.call('GET', KEYS[one[1]]), 0, 1e15)
    if not last and isLearning then last = full - emission end
    if last and last > full then
      last = full
      redis.call('SET', KEYS[one[1]], text(last), 'PX', math.ceil(last - now) + 1000)
    end
    local tat = math.max(now, last or now) + emission
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
  used, since = kept(used, 0, 1e18), begun(since)
  if not used then used, since = 0, nil end
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
