-- For wrk: paths, hosts and methods that change from request to request, a tenth of them with a body,
-- as far as ROUTES (how many paths, 100 unless told) says; then the report.

local routes = tonumber(os.getenv("ROUTES") or "100")
local requests = {}

function init(arguments)
    for number = 0, routes - 1 do
        local fields = { ["Host"] = "h" .. number % 10 .. ".example.org",
                         ["X-Tenant"] = "t" .. number }
        if number % 10 == 9 then
            requests[number] = wrk.format("POST", "/p" .. number, fields,
                                          string.rep("x", 200))
        else
            requests[number] = wrk.format("GET", "/p" .. number .. "?q=1", fields)
        end
    end
end

function request()
    return requests[math.random(0, routes - 1)]
end

dofile((os.getenv("LUA_FOLDER") or ".") .. "/report.lua")
