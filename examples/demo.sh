#!/usr/bin/env bash
# The whole path on MongoDB and Redis: the shipped jobs, an edit while another job runs, a broken file,
# a run-now through Redis, kill -9 and a restart in the middle. Prints every command and its output.
#
#   examples/demo.sh
#
# Needs bash, Python 3 and the servers. docs/demo.md is what it printed once.
# The program is $CRONWRIGHT, else the newest one below target/, else it is built. mongod and
# redis-server are $CRONWRIGHT_TEST_MONGOD and $CRONWRIGHT_TEST_REDIS, else those in the PATH, else
# those that `cargo test` has fetched into target/servers/. Everything happens in a new temporary folder
# and on free ports of 127.0.0.1; all that it starts is ended by process id.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
demo=$(mktemp -d "${TMPDIR:-/tmp}/cronwright-demo.XXXXXX")
servers=${CARGO_TARGET_DIR:-$repository/target}/servers
daemon= mongod= redis_server=

main() {
  trap end_everything EXIT
  trap 'exit 130' INT TERM
  find_programs
  start_servers
  lay_out_the_folder
  the_first_start
  edit_one_job_while_another_runs
  break_a_file_and_mend_it
  run_now_through_redis
  kill_the_daemon_while_a_job_runs
  stop
}

# --- the scenes -------------------------------------------------------------------------------------

lay_out_the_folder() {
  title "A folder: the shipped jobs, one that takes long, and the settings"
  cp -r "$repository/jobs.d" "$demo/jobs.d"
  cd "$demo"
  cat > jobs.d/long.yaml << 'END'
version: 1
jobs:
  long:
    description: Something that takes its time
    triggers: [] # only on request
    script: |
      for part in 1 2 3 4 5 6 7 8 9 10 11 12; do
        echo "part $part of 12"
        sleep 1
      done
END
  cat > cronwright.toml << END
sources = ["jobs.d"]
store = "mongodb://127.0.0.1:$mongod_port/demo"

[redis]
url = "redis://127.0.0.1:$redis_port/0"

[node]
name = "demo"
END
  run cat cronwright.toml
  run ls jobs.d
  run cronwright validate
}

the_first_start() {
  title "The daemon"
  serve
  run cronwright list
  run cronwright status
}

edit_one_job_while_another_runs() {
  title "Edit one job while another runs"
  local before
  before=$(next_fire backup-jobs)
  run cronwright run long
  until_true "long runs" running long
  edit 's|"\*/10 \* \* \* \* \*" # six fields: seconds first|"*/3 * * * * *"|' jobs.d/host.yaml
  until_true "the edit is applied" schedule_is pulse 'cron */3 * * * * * UTC'
  run cronwright list
  note "next fire of backup-jobs before the edit: $before; after it: $(next_fire backup-jobs)"
  run cronwright status
  until_true "pulse has run on its new schedule" ran_at pulse '[369]Z'
  until_true "long has ended" ended long
  run cronwright history long
  run cronwright logs long --tail 2
}

break_a_file_and_mend_it() {
  title "Break a file"
  edit 's|"\*/3 \* \* \* \* \*"|*/3 * * * * *|' jobs.d/host.yaml
  until_true "the daemon has seen it" sync_is Degraded
  run cronwright validate
  run cronwright list
  run cronwright status
  local last
  last=$(last_fire pulse)
  until_true "pulse goes on all the same" later_than pulse "$last"
  run cronwright history pulse --limit 3
  title "Mend it"
  edit 's|cron: \*/3.*|cron: "*/3 * * * * *"|' jobs.d/host.yaml
  until_true "all is well again" sync_is Synced
  run cronwright status
}

run_now_through_redis() {
  title "Run now, through Redis"
  send demo-1 inventory true
  until_true "it has been answered three times" replies_are demo-1 3
  show_replies demo-1
  run cronwright history inventory
  note "The same request once more: the effect is once."
  send demo-1 inventory true
  until_true "it has been answered" replies_are demo-1 4
  show_replies demo-1 1
  note "A job that does not exist, and bytes that are no request:"
  send demo-2 inventroy true
  until_true "it has been answered" replies_are demo-2 1
  show_replies demo-2
  run redis-cli -p "$redis_port" XADD '{cronwright}:requests' '*' m 'not a request'
  until_true "it is with the dead" length_is '{cronwright}:dead' 1
  run redis-cli -p "$redis_port" XRANGE '{cronwright}:dead' - +
}

kill_the_daemon_while_a_job_runs() {
  title "kill -9 while a job runs, and a request while no daemon is there"
  run cronwright run long
  until_true "long runs" running long
  kill -9 "$daemon"
  wait "$daemon" 2> /dev/null || true
  note "\$ kill -9 $daemon"
  daemon=
  run cronwright status || note "exit code $?"
  note "The job's process is a child of the supervisor and goes on:"
  show_jobs_processes
  send demo-3 disk-space true
  sleep 8
  title "Start it again"
  serve
  until_true "the request has been answered" replies_are demo-3 3
  show_replies demo-3
  until_true "long has ended" ended long
  run cronwright history long
  run cronwright history pulse --limit 6
  note "Of the fire times while no daemon ran the latest was caught up; the earlier ones are one row."
}

stop() {
  title "Ctrl-C while a job runs"
  run cronwright run long
  until_true "long runs" running long
  kill -INT "$daemon"
  wait "$daemon" || true
  note "\$ kill -INT $daemon"
  daemon=
  tail -n 2 serve.log
  title "The next daemon takes it over; cancel ends it"
  serve
  run cronwright status
  run cronwright cancel long
  until_true "long has ended" ended long
  run cronwright history long --limit 1
  until_true "nothing runs" nothing_runs
  kill -INT "$daemon"
  wait "$daemon" || true
  daemon=
  tail -n 1 serve.log
}

# --- the daemon -------------------------------------------------------------------------------------

cronwright() { "$program" "$@"; }

serve() {
  "$program" serve 2>> serve.log &
  daemon=$!
  note "\$ cronwright serve &"
  until_true "it has applied the manifests" sync_is Synced
}

supervisor() { cut -d ' ' -f 1 "$demo/.cronwright/supervisor.lock" 2> /dev/null || true; }

show_jobs_processes() {
  local owner pid
  owner=$(supervisor)
  for pid in $(< "/proc/$owner/task/$owner/children"); do
    note "process $pid: $(tr '\0\n' '  ' < "/proc/$pid/cmdline" | cut -c 1-70)…"
  done
}

# One value of a JSON document: json EXPRESSION, over `document`.
json() { python3 -c "import json, sys; document = json.load(sys.stdin); print($1)"; }

job() { cronwright list -o json | json "[job for job in document['jobs'] if job['name'] == '$1'][0]$2"; }
next_fire() { job "$1" "['next_fire_at']"; }
newest() { cronwright history "$1" --limit 1 -o json | json "(document['executions'] or [{}])[0].get('$2')"; }
last_fire() { newest "$1" fire_time; }
running() { [ "$(newest "$1" state)" = running ]; }
ended() { [ "$(newest "$1" state)" = ended ]; }
later_than() { [[ $(last_fire "$1") > $2 ]]; }
ran_at() { cronwright history "$1" --limit 5 -o name | grep -q "$2"; }
sync_is() { [ "$(cronwright status -o json | json "document['sync']['state']")" = "$1" ]; }
nothing_runs() { [ "$(cronwright status -o json | json "document['running']")" = "[]" ]; }
schedule_is() { cronwright list | grep "^$1 " | grep -qF "$2"; }

# --- Redis ------------------------------------------------------------------------------------------

# redis-cli, or where there is none the same words over the socket.
redis-cli() {
  if type -P redis-cli > /dev/null; then
    command redis-cli "$@"
  else
    python3 - "$@" << 'END'
import socket, sys

words = sys.argv[1:]
port = int(words[1])
words = words[2:]
server = socket.create_connection(("127.0.0.1", port))
request = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
server.sendall(b"*%d\r\n%s" % (len(words), request))
answer = server.makefile("rb")

def show(indent=""):
    line = answer.readline().decode().rstrip()
    kind, rest = line[0], line[1:]
    if kind == "*":
        for number in range(int(rest)):
            show(indent + "  " * (number > 0))
    elif kind == "$":
        text = "" if rest == "-1" else answer.read(int(rest) + 2)[:-2].decode()
        print(text)
    else:
        print(rest)

show()
END
  fi
}

# send ID JOB WAIT
send() {
  local request
  request=$(printf '{"v":1,"id":"%s","op":"run","job":"%s","args":{"wait":%s},"reply_to":"%s"}' "$1" "$2" "$3" "$1")
  run redis-cli -p "$redis_port" XADD '{cronwright}:requests' '*' m "$request"
}

length_is() { [ "$(redis-cli -p "$redis_port" XLEN "$1")" -ge "$2" ]; }
replies_are() { length_is "{cronwright}:replies:$1" "$2"; }

# show_replies ID [HOW-MANY-OF-THE-LAST]
show_replies() {
  note "\$ redis-cli -p $redis_port XRANGE {cronwright}:replies:$1 - +"
  redis-cli -p "$redis_port" XRANGE "{cronwright}:replies:$1" - + | grep -o '{"v".*' | tail -n "${2:-10}"
}

# --- servers ----------------------------------------------------------------------------------------

find_programs() {
  program=${CRONWRIGHT:-}
  if [ -z "$program" ]; then
    program=$(ls -t "${servers%/servers}"/{release,debug}/cronwright 2> /dev/null | head -n 1) || true
  fi
  if [ -z "$program" ]; then
    (cd "$repository" && cargo build --release)
    program=${servers%/servers}/release/cronwright
  fi
  mongod_program=$(find_server mongod "${CRONWRIGHT_TEST_MONGOD:-}")
  redis_program=$(find_server redis-server "${CRONWRIGHT_TEST_REDIS:-}")
}

# find_server NAME OWN
find_server() {
  if [ -n "$2" ]; then
    echo "$2"
  elif ! type -P "$1"; then
    if [ ! -x "$servers/$1/$1" ]; then
      echo "no $1: install it, name one in the environment, or let \`cargo test\` fetch it" >&2
      exit 1
    fi
    echo "$servers/$1/$1"
  fi
}

start_servers() {
  mkdir "$demo/mongod" "$demo/redis"
  mongod_port=$(free_port)
  start_server "$mongod_program" --port "$mongod_port" --bind_ip 127.0.0.1 --dbpath "$demo/mongod" \
    --wiredTigerCacheSizeGB 0.25 --nounixsocket > "$demo/mongod/log" 2>&1 &
  mongod=$!
  redis_port=$(free_port)
  start_server "$redis_program" --port "$redis_port" --bind 127.0.0.1 --dir "$demo/redis" --save "" \
    > "$demo/redis/log" 2>&1 &
  redis_server=$!
  until_true "mongod listens" listens "$mongod_port"
  until_true "redis-server listens" listens "$redis_port"
}

# Replaces the shell that it runs in. A fetched program may need libraries that lie beside it.
start_server() {
  exec env LD_LIBRARY_PATH="$(dirname "$1")/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "$@"
}

listens() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

free_port() {
  local port
  while port=$((15000 + RANDOM % 15000)) && listens "$port"; do :; done
  echo "$port"
}

end_everything() {
  trap - EXIT INT TERM
  local pid
  # The daemon first. A supervisor stays while a job runs: then it is killed, and the job with it.
  for pid in $daemon $(supervisor) $mongod $redis_server; do
    kill -TERM "$pid" 2> /dev/null || continue
    for _ in $(seq 100); do
      kill -0 "$pid" 2> /dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" 2> /dev/null || true
  done
  rm -rf "$demo"
}

# --- what people see --------------------------------------------------------------------------------

title() { printf '\n## %s\n\n' "$*"; }
note() { printf '%s\n' "$*"; }

# Prints a command and runs it.
run() {
  printf '$'
  local word
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_./:=+-]*) printf " '%s'" "$word" ;;
      *) printf ' %s' "$word" ;;
    esac
  done
  printf '\n'
  "$@" || { local code=$?; note "(exit code $code)"; }
}

# edit SED-EXPRESSION FILE: as an editor does, by a new file that takes the place of the old one.
edit() {
  sed "$1" "$2" > "$2.new~"
  note "\$ edit $2"
  diff "$2" "$2.new~" || true
  mv "$2.new~" "$2"
}

# until_true WHAT COMMAND…: waits for something, at most a minute.
until_true() {
  local what=$1 give_up=$((SECONDS + 60))
  shift
  until "$@" > /dev/null 2>&1; do
    if ((SECONDS > give_up)); then
      echo "waited a minute in vain: $what" >&2
      tail -n 20 "$demo/serve.log" "$demo/mongod/log" >&2 || true
      exit 1
    fi
    sleep 0.2
  done
  note "… $what"
}

main
