#!/usr/bin/env bash
# Private PostgreSQL, Redis and RabbitMQ of this checkout, on loopback, for tests. Nothing else on the machine is touched.
#   services.sh up|down|kill|status [postgres|redis|rabbitmq…]   without names: all three
#
# `down` ends them in order; `kill` as a crash does (kill -9), for tests that want to see one; `up` starts them again.
# `up` and `down` may be said twice, and processes that died leave nothing that hinders them. Where the servers listen
# goes into build/services/env as SCHEDULER_TEST_{POSTGRES,REDIS,RABBITMQ}_URL, which tests read; `down` takes it away.
#   SCHEDULER_SERVICES_DIR    where data, logs and (set: also) the env file are; default .services
#   SCHEDULER_SERVICES_PORT   the first of five ports; default: free ones, chosen once by the path of the checkout
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"

readonly all=(postgres redis rabbitmq)
dir=${SCHEDULER_SERVICES_DIR:-$root/.services}
env_file=${SCHEDULER_SERVICES_DIR:+$dir/env}
env_file=${env_file:-$root/build/services/env}

# --- places and ports ---

# PostgreSQL and RabbitMQ refuse root, and the users they have instead may not look into root's home.
make_dir() {
  become nobody
  if [[ -z ${SCHEDULER_SERVICES_DIR:-} && ! -e $dir ]] && ! "${as[@]}" test -x "$root"; then
    mkdir -p "/var/tmp/scheduler-services-$(path_hash)"
    ln -sfn "/var/tmp/scheduler-services-$(path_hash)" "$dir"
  fi
  mkdir -p "$dir"
  dir=$(readlink -f "$dir")
  chmod 755 "$dir"
}

path_hash() { cksum <<<"$dir" | cut -d' ' -f1; }

# Sets `as` to what runs a command as that user where we are root, else as ourselves.
become() {
  as=(env)
  if ((EUID == 0)); then as=(setpriv "--reuid=$1" "--regid=$(id -g "$1")" --init-groups); fi
}

own() { if ((EUID == 0)); then chown -R "$1:" "$2"; fi; }

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below the ports that the kernel gives to connections, and none of the servers' usual ones. Five: PostgreSQL, Redis,
# RabbitMQ, Erlang's distribution, Erlang's port mapper.
choose_ports() {
  local base=${SCHEDULER_SERVICES_PORT:-} try port
  if [[ -z $base && -s $dir/port ]]; then base=$(<"$dir/port"); fi
  for ((try = 0; try < 100; try++)); do
    [[ -z $base ]] || break
    base=$((20000 + ($(path_hash) + try * 7) % 1000 * 10))
    for ((port = base; port < base + 5; port++)); do
      port_is_free "$port" || { base= && break; }
    done
  done
  [[ -n $base ]] || die "found no five free ports in a row" "name the first one in SCHEDULER_SERVICES_PORT"
  echo "$base" >"$dir/port"
  postgres_port=$base redis_port=$((base + 1)) rabbitmq_port=$((base + 2))
  erlang_port=$((base + 3)) epmd_port=$((base + 4))
}

# --- processes ---

# With its id this names one process for ever. Nothing for one that has ended and only waits to be noticed.
started_at() { sed -e 's/.*) //' -e '/^Z/d' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# The id of the server's first process, if that lives: an id alone may be somebody else's by now.
living() {
  local pid since
  [[ -s $dir/$1.pid ]] && read -r pid since <"$dir/$1.pid" && [[ $(started_at "$pid") == "$since" ]] && echo "$pid"
}

# What is left of it when the first process has been killed: known by where it works, and by its session unless it has
# one of its own, as every process of PostgreSQL does.
survivors() {
  local leader stat fields state session place
  [[ -s $dir/$1.pid ]] && read -r leader _ <"$dir/$1.pid" || return 0
  for stat in /proc/[0-9]*/stat; do
    fields=$(sed 's/.*) //' "$stat" 2>/dev/null) || continue
    read -r state _ _ session _ <<<"$fields"
    place=$(readlink "${stat%stat}cwd") || continue
    if [[ $state != Z && ($session == "$leader" && $place == "$dir"* || $place/ == "$dir/$1/"*) ]]; then
      stat=${stat%/stat} && echo "${stat#/proc/}"
    fi
  done
}

# launch NAME command…: in a session of its own, holding no descriptor (lock, pipe) of whoever called us.
launch() {
  local name=$1
  shift
  (
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      if ((fd > 2)); then eval "exec $fd>&-"; fi
    done
    cd "$dir"
    exec setsid "$@"
  ) </dev/null >>"$dir/$name.out" 2>&1 &
  echo "$! $(started_at $!)" >"$dir/$name.pid"
}

await() {  # await NAME SECONDS: until it answers
  local deadline=$((SECONDS + $2))
  until answers "$1"; do
    if ! living "$1" >/dev/null || ((SECONDS >= deadline)); then
      tail -n 15 "$dir/$1.out" >&2
      say "dev: $1 did not start; the end of $dir/$1.out is above"
      return 1
    fi
    sleep 0.1
  done
}

answers() { "answers_$1" 2>/dev/null; }

# --- PostgreSQL ---

postgres_bin=/usr/lib/postgresql/15/bin

answers_postgres() {
  PGPASSWORD=$password PGCONNECT_TIMEOUT=5 "$postgres_bin/psql" -h 127.0.0.1 -p "$postgres_port" -U scheduler -XAtc 'select 1' \
    scheduler >/dev/null
}

start_postgres() {
  local data=$dir/postgres
  become postgres
  if [[ ! -s $data/ready ]]; then
    make_postgres "$data" >"$dir/postgres.out" 2>&1 || { cat "$dir/postgres.out" >&2 && return 1; }
  fi
  rm -f "$data/data/postmaster.pid"  # of a server that was killed; we have just seen that none runs
  launch postgres "${as[@]}" "$postgres_bin/postgres" -D "$data/data" -p "$postgres_port" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories=
}

make_postgres() {
  rm -rf "$1"
  mkdir -p "$1"
  (umask 077 && echo "$password" >"$1/password")
  own postgres "$1"
  "${as[@]}" "$postgres_bin/initdb" -D "$1/data" -U scheduler -A scram-sha-256 --pwfile="$1/password" -E UTF8 \
    --locale=C.UTF-8 || return
  # The database named like its user, made before the server listens.
  "${as[@]}" "$postgres_bin/postgres" --single -D "$1/data" postgres <<<'CREATE DATABASE scheduler' || return
  echo yes >"$1/ready"
}

url_postgres() { echo "postgresql://scheduler:$password@127.0.0.1:$postgres_port/scheduler"; }

# --- Redis ---

answers_redis() { [[ $(REDISCLI_AUTH=$password redis-cli -h 127.0.0.1 -p "$redis_port" ping) == PONG ]]; }

start_redis() {
  mkdir -p "$dir/redis"
  # In a file, where the password does not show in the list of processes.
  (umask 077 && cat >"$dir/redis.conf") <<CONF
port $redis_port
bind 127.0.0.1
dir $dir/redis
requirepass $password
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
CONF
  launch redis redis-server "$dir/redis.conf"
}

url_redis() { echo "redis://:$password@127.0.0.1:$redis_port/0"; }

# --- RabbitMQ ---

# Its side of the AMQP greeting: 0x01, a method frame. The port opens when the broker is complete.
answers_rabbitmq() (
  exec 3<>"/dev/tcp/127.0.0.1/$rabbitmq_port"
  printf 'AMQP\0\0\x09\x01' >&3
  read -r -t 5 -N 1 byte <&3 && [[ $byte == $'\x01' ]]
)

start_rabbitmq() {
  local data=$dir/rabbitmq
  mkdir -p "$data"/{mnesia,log,home}
  (umask 077 && cat >"$data/rabbitmq.conf") <<CONF
listeners.tcp.1 = 127.0.0.1:$rabbitmq_port
default_user = scheduler
default_pass = $password
CONF
  echo '[].' >"$data/enabled_plugins"
  own rabbitmq "$data"
  become rabbitmq
  # +sbwt…: its schedulers sleep instead of spinning, which would take the processors from what is being tested.
  local settings=(
    "HOME=$data/home" RABBITMQ_NODENAME=scheduler@localhost "RABBITMQ_DIST_PORT=$erlang_port"
    "ERL_EPMD_PORT=$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1
    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
    "RABBITMQ_CONFIG_FILE=$data/rabbitmq.conf" "RABBITMQ_MNESIA_BASE=$data/mnesia" "RABBITMQ_LOG_BASE=$data/log"
    "RABBITMQ_ENABLED_PLUGINS_FILE=$data/enabled_plugins"
  )
  # The port mapper in the broker's session: left to itself it would stay for ever.
  # shellcheck disable=SC2016  # expanded by that shell
  launch rabbitmq "${as[@]}" env "${settings[@]}" bash -c \
    'epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" & exec /usr/lib/rabbitmq/bin/rabbitmq-server'
}

url_rabbitmq() { echo "amqp://scheduler:$password@127.0.0.1:$rabbitmq_port/"; }

# --- the words ---

prepare() {
  make_dir
  exec 9>"$dir/lock"
  flock 9
  choose_ports
  [[ -s $dir/password ]] || (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$dir/password")
  password=$(<"$dir/password")
}

write_env() {
  local name
  mkdir -p "$(dirname "$env_file")"
  (
    umask 077
    for name in "${all[@]}"; do
      if living "$name" >/dev/null; then echo "SCHEDULER_TEST_${name^^}_URL=$("url_$name")"; fi
    done >"$env_file.new"
  )
  mv "$env_file.new" "$env_file"
}

up() {
  local name failed=() starting=()
  for name in "$@"; do
    if living "$name" >/dev/null && answers "$name"; then continue; fi
    stop "$name"
    if ! port_is_free "$(port_of "$name")"; then
      say "dev: port $(port_of "$name"), meant for $name, is taken by something else"
      say "     name the first of five free ports in SCHEDULER_SERVICES_PORT"
      failed+=("$name")
    elif "start_$name"; then
      starting+=("$name")
    else
      failed+=("$name")
    fi
  done
  for name in "${starting[@]}"; do await "$name" 60 || failed+=("$name"); done
  write_env
  ((${#failed[@]} == 0)) || die "these servers did not start: ${failed[*]}"
  if ((${#starting[@]} > 0)); then say "services: started ${starting[*]}; addresses are in ${env_file#"$root/"}"; fi
}

port_of() { local name=$1_port && echo "${!name}"; }

# stop NAME [SIGNAL]. PostgreSQL takes TERM as a wish to wait for its clients, INT as the end of them.
stop() {
  local pid signal=${2:-TERM} tries left
  if pid=$(living "$1"); then
    if [[ $1 == postgres && $signal == TERM ]]; then signal=INT; fi
    if [[ $1 == rabbitmq ]]; then kill -s "$signal" -- "-$pid"; else kill -s "$signal" "$pid"; fi
    for ((tries = 0; tries < 200; tries++)); do
      living "$1" >/dev/null || break
      sleep 0.1
    done
  fi
  for ((tries = 0; tries < 50; tries++)); do  # dying takes a moment, and holds the port
    mapfile -t left < <(survivors "$1")
    ((${#left[@]} > 0)) || break
    kill -s KILL "${left[@]}" 2>/dev/null || true
    sleep 0.1
  done
  rm -f "$dir/$1.pid"
}

down() { stop_all TERM "$@"; }

crash() { stop_all KILL "$@"; }

stop_all() {  # stop_all SIGNAL NAME…
  local name signal=$1
  shift
  for name in "$@"; do stop "$name" "$signal" & done
  wait
  write_env
  if [[ ! -s $env_file ]]; then rm -f "$env_file"; fi
}

status() {
  local name code=0
  for name in "$@"; do
    if living "$name" >/dev/null && answers "$name"; then
      echo "$name: up, 127.0.0.1:$(port_of "$name")"
    else
      echo "$name: down"
      code=1
    fi
  done
  return "$code"
}

word=${1:-}
(($# == 0)) || shift
names=("$@")
((${#names[@]} > 0)) || names=("${all[@]}")
for name in "${names[@]}"; do
  [[ " ${all[*]} " == *" $name "* ]] || die "there is no server '$name'" "known: ${all[*]}"
done
case $word in
  up)
    ensure_packages service_packages.txt
    prepare
    up "${names[@]}"
    ;;
  down | kill | status)
    if [[ ! -d $dir ]]; then
      say "services: never started here"
      [[ $word != status ]]
      exit
    fi
    prepare
    if [[ $word == kill ]]; then word=crash; fi
    "$word" "${names[@]}"
    ;;
  *) die "services takes 'up', 'down', 'kill' or 'status', then names of servers (${all[*]}) or none for all" ;;
esac
