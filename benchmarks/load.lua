-- Sends the signed bodies of LOAD one after the other, again from the first at the end.
-- With MOST it ends once so many are answered, and some of the repeated ones.
local bodies, signatures, sent, answered = {}, {}, 0, 0
local most = tonumber(os.getenv("MOST") or "0")

for line in io.lines(os.getenv("LOAD")) do
  local signature, body = line:match("^(%S+)\t(.*)$")
  bodies[#bodies + 1], signatures[#signatures + 1] = body, signature
end

request = function()
  sent = sent + 1
  local at = (sent - 1) % #bodies + 1
  return wrk.format("POST", nil, {
    ["Content-Type"] = "application/json",
    ["X-Hub-Signature-256"] = signatures[at],
  }, bodies[at])
end

if most > 0 then
  response = function(status)
    answered = answered + 1
    if status ~= 200 then
      io.stderr:write("answered " .. status .. "\n")
      os.exit(1)
    end
    -- Twice the connections more: leaving cuts off what is under way. Stopping the
    -- thread would not do, wrk sleeps until its time is over.
    if answered >= most + 128 then
      os.exit(0)
    end
  end
end

done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %.3f %.3f %d\n", summary.requests, summary.duration,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
