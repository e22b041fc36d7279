-- For wrk: a request head that no server has seen before, in every request.
local count, run, head = 0, nil, nil

function init(arguments)
  run = tostring(os.time()) .. tostring(arguments[1] or "")
  local whole = wrk.format("GET")
  head = whole:sub(1, #whole - 2) .. "X-Unseen: " .. run .. "-"
end

function request()
  count = count + 1
  return head .. count .. "\r\n\r\n"
end
