-- start_file(run, epoch, batch, token, number): journal the file in flight. Returns the stop flag, or -1: lost.
local lease = holds_batch(ARGV[2], ARGV[3], ARGV[4])
if not lease then return -1 end
lease.file = tonumber(ARGV[5])
save_lease(ARGV[3], lease)
return number("stop")
