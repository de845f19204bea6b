#!/usr/bin/env bash
# Asks a daemon through Redis to run a job now, and waits for its answers.
#
#   run-now.sh JOB [REDIS-URL]
#
# The stream keeps the request until a daemon takes it, but not longer than `expires_at`.
set -euo pipefail

job=${1:?usage: run-now.sh JOB [REDIS-URL]}
url=${2:-redis://127.0.0.1:6379/0}
id=$(cat /proc/sys/kernel/random/uuid)
reply_to="run-now-$id"
expires_at=$(date -u -d '+5 minutes' +%Y-%m-%dT%H:%M:%SZ)

request=$(printf '{"v":1,"id":"%s","op":"run","job":"%s","args":{"wait":true},"reply_to":"%s","expires_at":"%s"}' \
  "$id" "$job" "$reply_to" "$expires_at")
redis-cli -u "$url" XADD '{cronwright}:requests' '*' m "$request" > /dev/null
echo "request $id" >&2

# accepted, started, finished: each is one entry; the last ends the wait.
last=0
while true; do
  answer=$(redis-cli -u "$url" --raw XREAD COUNT 1 BLOCK 60000 STREAMS "{cronwright}:replies:$reply_to" "$last")
  if [ -z "$answer" ]; then
    echo "no answer within a minute: is a daemon connected to this Redis?" >&2
    exit 1
  fi
  last=$(sed -n 2p <<< "$answer")
  reply=$(sed -n 4p <<< "$answer")
  echo "$reply"
  case $reply in
    *'"status":"finished"'*) exit 0 ;;
    *'"status":"rejected"'* | *'"status":"expired"'*) exit 1 ;;
  esac
done
