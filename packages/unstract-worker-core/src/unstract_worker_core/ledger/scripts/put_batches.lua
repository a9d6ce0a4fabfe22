-- put_batches(run, token, epoch, index, files, index, files, ...): batch records of the epoch to come.
if get("state") ~= "ACCEPTED" or not holds_run(ARGV[2]) then return 0 end
if number("epoch") + 1 ~= tonumber(ARGV[3]) then return 0 end
for i = 4, #ARGV, 2 do redis.call("HSET", batches_key(ARGV[3]), ARGV[i], ARGV[i + 1]) end
return 1
