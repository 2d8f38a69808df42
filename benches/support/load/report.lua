-- For wrk: prints its result as one line of JSON with all percentiles. The requests are those of the
-- command line, or of another script given before this one.

function done(summary, latency, requests)
    local errors = summary.errors
    local parts = {}
    for name, at in pairs({ p50 = 50, p75 = 75, p90 = 90, p95 = 95, p99 = 99,
                            ["p99.9"] = 99.9, ["p99.99"] = 99.99, max = 100 }) do
        table.insert(parts, string.format('"%s":%d', name, latency:percentile(at)))
    end
    io.write(string.format(
        'RESULT {"requests":%d,"seconds":%.6f,"bytes":%d,"failed":%d,"latency_us":{%s}}\n',
        summary.requests, summary.duration / 1e6, summary.bytes,
        errors.connect + errors.read + errors.write + errors.timeout + errors.status,
        table.concat(parts, ",")))
end
