#!/usr/bin/env bash
# Runs everything with demo traffic for a while and watches that it stays well, then
# the tests that break what can break, each for as long. Before that the broker's log
# lives through FAULT_ROUNDS (2000) random histories of power cuts, full disks, failing
# fsyncs and interrupted compactions, and the broker is killed and loses its power under
# load LOAD_ROUNDS (300) times each:
#
#   scripts/soak.sh [MINUTES [TEST]]     (10, all; TEST is a regular expression)
#
# The first part fails when memory or goroutines go on growing after the first fifth,
# when a record is dropped, refused or missing from the topic, or when it does not stop
# in order. With TEST it is left out. The tests print the seed of what they do by
# chance; TRIBUTARY_SOAK_SEED=seed does it again. Those with Apache Kafka want java, and
# KAFKA_LIBS or Maven.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-10}
tests=${2:-}

# trials runs tests in their long form.
trials() {
	local libs
	libs=$(scripts/kafka.sh libs) || echo "soak: without Apache Kafka" >&2
	KAFKA_LIBS=$libs TRIBUTARY_SOAK=1 TRIBUTARY_SOAK_MINUTES=$minutes go test -count=1 -v -p 1 -parallel 1 -timeout 24h -run "$1" ./cmd/tributary
}

if [ -n "$tests" ]; then
	trials "$tests"
	exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# faults runs tests that break things and prints a row for the table in docs/broker.md: what was run, its seed, its
# rounds, how it went, and what the tests say of it.
#
#   faults ROUNDS TESTS PACKAGE [SEED]     without SEED, the one that the tests print
faults() {
	local log=$work/faults result=passed seed=${4:-}
	TRIBUTARY_FAULT_ROUNDS=$1 go test -count=1 -v -timeout 24h -run "$2" "$3" >"$log" 2>&1 || result=FAILED
	[ "$result" = passed ] || grep -v '^=== ' "$log" | tail -n 200 >&2
	[ -n "$seed" ] || seed=$(sed -n 's/.* seed \([0-9]*\)$/\1/p' "$log" | head -n 1)
	printf '| `TRIBUTARY_FAULT_ROUNDS=%d go test -run '"'%s'"' %s` | %s | %d | %s |\n' "$1" "${2//|/\\|}" "$3" "${seed:-none}" "$1" "$result"
	sed -n 's/^ *[a-z_]*_test.go:[0-9]*: \(.*\(times:\|rounds:\|committed,\).*\)/  \1/p' "$log"
	[ "$result" = passed ]
}
rounds=${FAULT_ROUNDS:-2000}
faults "$rounds" 'Crash|Compact' ./internal/commitlog "0 to $((rounds - 1))"
faults "${LOAD_ROUNDS:-300}" '^TestKillLoad$' ./broker "none, kills go by the clock"
faults "${LOAD_ROUNDS:-300}" '^TestPowerLoss$' ./broker

binary=$PWD/bin/tributary
[ -x "$binary" ] || make -s build
http=127.0.0.1:$((20000 + RANDOM % 20000))

"$binary" up --demo --data "$work/data" --http "$http" --broker-listen 127.0.0.1:0 \
	--broker-addr-file "$work/addr" --collect-listen 127.0.0.1:0 >"$work/log" 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT

fail() {
	echo "soak: $*" >&2
	tail -n 20 "$work/log" >&2
	exit 1
}

# metric NAME prints the sum of a metric's values; NAME may go on with labels.
metric() {
	curl -sf "http://$http/metrics" | awk -v name="$1" 'index($0, name) == 1 { sum += $NF } END { printf "%d\n", sum }'
}

for _ in $(seq 100); do
	curl -sf "http://$http/readyz" >/dev/null && break
	kill -0 "$pid" 2>/dev/null || fail "ended at once"
	sleep 0.1
done

total=$((minutes * 60))
warm=$((total / 5))
base=0
threads=0
printf '%8s %12s %12s %10s\n' seconds records memory goroutines
for ((begin = SECONDS; SECONDS - begin < total; )); do
	sleep 10
	kill -0 "$pid" 2>/dev/null || fail "ended by itself"
	now=$((SECONDS - begin))
	memory=$(metric process_resident_memory_bytes)
	goroutines=$(metric go_goroutines)
	printf '%8d %12d %12d %10d\n' "$now" "$(metric 'tributary_sink_records_total{result="delivered"')" "$memory" "$goroutines"
	if ((now >= warm && base == 0)); then
		base=$memory
		threads=$goroutines
	fi
	if ((base > 0)); then
		((memory <= base * 3 / 2 + (32 << 20))) || fail "memory grew from $base to $memory bytes"
		((goroutines <= threads + 50)) || fail "goroutines grew from $threads to $goroutines"
	fi
done
lost=$(($(metric 'tributary_sink_records_total{result="dropped"') + $(metric 'tributary_sink_records_total{result="refused"')))
((lost == 0)) || fail "$lost records were dropped or refused"
errors=$(metric 'tributary_broker_panics_total')
((errors == 0)) || fail "$errors panics"

# What was delivered, and since then, is in the topic once everything has stopped.
delivered=$(metric 'tributary_sink_records_total{result="delivered"')
kill -TERM "$pid"
wait "$pid" || fail "did not stop in order"
"$binary" broker --data "$work/data/broker" --listen 127.0.0.1:0 --addr-file "$work/again" --http off >>"$work/log" 2>&1 &
pid=$!
for _ in $(seq 100); do
	[ -f "$work/again" ] && break
	sleep 0.1
done
there=$("$binary" topics describe flows --kafka "kafka://$(cat "$work/again")" | awk '$1 ~ /^[0-9]+$/ { sum += $7 } END { print sum }')
((there >= delivered)) || fail "$delivered records were delivered, $there are in the topic"
kill -TERM "$pid"
wait "$pid" || fail "the broker did not stop in order"
echo "soak: $there records in $minutes minutes, nothing lost"

TRIBUTARY_SOAK=1 go test -count=1 -run '^TestMillionTemplates$' ./collect
trials '^TestWire(Faults$|Cluster$|Spool|Balance$|ManyTemplates$|ThousandExporters$)'
