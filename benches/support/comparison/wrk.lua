-- For wrk: prints its result as one line of JSON, with p99.9, which wrk itself does not show.
-- PACED_RATE=N in the environment holds all connections together to N requests a second: each
-- answer is followed by a pause until the next free slot of a common clock. Slots are whole
-- milliseconds, so N/1000 requests leave together. Without it wrk sends as fast as answers come,
-- and this script costs nothing per request. TENANTS=N in the environment gives each request one
-- of N values of x-tenant, drawn at random.

local rate = tonumber(os.getenv("PACED_RATE") or "")

if rate then
    local ffi = require("ffi")
    ffi.cdef [[
        struct clock_time { long seconds; long nanoseconds; };
        int clock_gettime(int clock, struct clock_time *now);
    ]]
    local clock_monotonic = 1
    local reading = ffi.new("struct clock_time")
    local slot_ms = 1000 / rate
    local next_slot_ms = 0

    function delay()
        ffi.C.clock_gettime(clock_monotonic, reading)
        local now_ms = tonumber(reading.seconds) * 1000 + tonumber(reading.nanoseconds) / 1e6
        next_slot_ms = math.max(next_slot_ms + slot_ms, now_ms)
        return math.floor(next_slot_ms - now_ms + 0.5)
    end
end

local tenants = tonumber(os.getenv("TENANTS") or "")

if tenants then
    local requests = {}

    function init(arguments)
        for tenant = 0, tenants - 1 do
            requests[tenant] = wrk.format("GET", nil, { ["x-tenant"] = "t" .. tenant })
        end
    end

    function request()
        return requests[math.random(0, tenants - 1)]
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        'RESULT {"requests":%d,"seconds":%.6f,"bytes":%d,"p50_us":%d,"p99_us":%d,"p999_us":%d,"max_us":%d,'
            .. '"errors":%d,"status_errors":%d}\n',
        summary.requests, summary.duration / 1e6, summary.bytes,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max,
        errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
