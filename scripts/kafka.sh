#!/usr/bin/env bash
# Apache Kafka for tests: fetches its jars once, and formats, starts and stops a
# cluster of one or more KRaft nodes with small heaps, on loopback.
#
#   scripts/kafka.sh libs                      fetch if need be, print the folder of jars
#   scripts/kafka.sh streams                   the same for the jar of Kafka Streams alone
#   scripts/kafka.sh start DIR [NODES [PORT]]  nodes in DIR, clients at PORT, PORT+10, PORT+20 ...
#                                              (controllers one higher); prints the brokers
#   scripts/kafka.sh node DIR N                start node N again, after it was killed
#   scripts/kafka.sh stop DIR                  stop them; the data stays
#   scripts/kafka.sh run CLASS [ARGUMENT...]   a tool, e.g. org.apache.kafka.tools.TopicCommand
#
# KAFKA_LIBS names a folder that already has the jars. DIR/extra.properties is
# appended to every node's properties, DIR/extra.N.properties to those of node N, and
# DIR/format.args (one argument a line) to the command that formats. KAFKA_HEAP is
# the heap of a node (400m).
set -euo pipefail

version=4.3.1
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${KAFKA_CACHE:-$root/.cache/kafka}

die() {
	echo "kafka.sh: $*" >&2
	exit 1
}

# libs prints the folder of jars, after fetching them with Maven if there is none.
libs() {
	if [ -n "${KAFKA_LIBS:-}" ]; then
		[ -d "$KAFKA_LIBS" ] || die "KAFKA_LIBS=$KAFKA_LIBS is no folder"
		echo "$KAFKA_LIBS"
		return
	fi
	local dir=$cache/libs-$version
	if [ ! -d "$dir" ]; then
		command -v mvn >/dev/null || die "mvn is missing (apt-get install maven)"
		mkdir -p "$cache"
		local work
		work=$(mktemp -d "$cache/fetch.XXXXXX")
		cat >"$work/pom.xml" <<-POM
			<project xmlns="http://maven.apache.org/POM/4.0.0">
			  <modelVersion>4.0.0</modelVersion>
			  <groupId>tributary</groupId><artifactId>kafka-libs</artifactId><version>1</version><packaging>pom</packaging>
			  <dependencies>
			    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
			    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$version</version></dependency>
			    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
			    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>2.24.3</version></dependency>
			  </dependencies>
			</project>
		POM
		echo "fetching Apache Kafka $version" >&2
		mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/libs" -DincludeScope=runtime >&2 ||
			die "Maven could not fetch the jars"
		# Whoever comes second leaves what the first one put there.
		mv -T "$work/libs" "$dir" 2>/dev/null || true
		rm -rf "$work"
		[ -d "$dir" ] || die "no jars in $dir"
	fi
	echo "$dir"
}

# streams prints the folder of the jar of Kafka Streams, after fetching it with Maven.
# What it needs else is among the jars of libs, but for RocksDB, which is larger than all
# of them and of no use without stores on the disk.
streams() {
	local dir=$cache/streams-$version
	if [ ! -d "$dir" ]; then
		command -v mvn >/dev/null || die "mvn is missing (apt-get install maven)"
		mkdir -p "$cache"
		local work
		work=$(mktemp -d "$cache/fetch.XXXXXX")
		mvn -q -B dependency:copy -Dartifact="org.apache.kafka:kafka-streams:$version" -DoutputDirectory="$work/jar" >&2 ||
			die "Maven could not fetch the jar"
		mv -T "$work/jar" "$dir" 2>/dev/null || true
		rm -rf "$work"
		[ -d "$dir" ] || die "no jar in $dir"
	fi
	echo "$dir"
}

# jvm runs a class with the jars, and a logger that warns only.
jvm() {
	local jars=$1 heap=$2 log=$3
	shift 3
	exec java -Xms32m -Xmx"$heap" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
		-Dlog4j2.configurationFile="$log" -cp "$jars/*" "$@"
}

# logger writes a configuration for log4j and prints its name.
logger() {
	local file=$1/log4j2.properties
	[ -f "$file" ] || cat >"$file" <<-'LOG'
		status = error
		appender.c.type = Console
		appender.c.name = c
		appender.c.target = SYSTEM_ERR
		appender.c.layout.type = PatternLayout
		appender.c.layout.pattern = %d %p %m (%c)%n
		rootLogger.level = warn
		rootLogger.appenderRef.c.ref = c
	LOG
	echo "$file"
}

start() {
	local dir=$1 nodes=${2:-1} port=${3:-19092} jars log i
	jars=$(libs)
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd)
	log=$(logger "$dir")
	local voters="" brokers=""
	for ((i = 0; i < nodes; i++)); do
		voters+="${voters:+,}$((i + 1))@127.0.0.1:$((port + 10 * i + 1))"
		brokers+="${brokers:+,}127.0.0.1:$((port + 10 * i))"
	done
	local replicas=$((nodes < 3 ? nodes : 3))
	local id
	if [ -f "$dir/cluster.id" ]; then
		id=$(cat "$dir/cluster.id")
	else
		id=$(jvm "$jars" 64m "$log" kafka.tools.StorageTool random-uuid)
		echo "$id" >"$dir/cluster.id"
	fi
	local format=() formatting=()
	[ -f "$dir/format.args" ] && mapfile -t format <"$dir/format.args"
	for ((i = 0; i < nodes; i++)); do
		local n=$((i + 1)) p=$((port + 10 * i))
		cat >"$dir/n$n.properties" <<-PROPERTIES
			process.roles=broker,controller
			node.id=$n
			controller.quorum.voters=$voters
			listeners=PLAINTEXT://127.0.0.1:$p,CONTROLLER://127.0.0.1:$((p + 1))
			advertised.listeners=PLAINTEXT://127.0.0.1:$p
			listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
			controller.listener.names=CONTROLLER
			inter.broker.listener.name=PLAINTEXT
			log.dirs=$dir/n$n
			num.partitions=4
			default.replication.factor=$replicas
			offsets.topic.replication.factor=$replicas
			offsets.topic.num.partitions=4
			transaction.state.log.replication.factor=$replicas
			transaction.state.log.min.isr=$((replicas > 1 ? 2 : 1))
			transaction.state.log.num.partitions=4
			share.coordinator.state.topic.replication.factor=$replicas
			share.coordinator.state.topic.min.isr=$((replicas > 1 ? 2 : 1))
			group.initial.rebalance.delay.ms=0
			log.cleaner.dedupe.buffer.size=16777216
			num.network.threads=2
			num.io.threads=4
		PROPERTIES
		local extra
		for extra in "$dir/extra.properties" "$dir/extra.$n.properties"; do
			[ -f "$extra" ] && cat "$extra" >>"$dir/n$n.properties"
		done
		if [ ! -f "$dir/n$n/meta.properties" ]; then
			(jvm "$jars" 128m "$log" kafka.tools.StorageTool format -t "$id" -c "$dir/n$n.properties" "${format[@]}") >"$dir/n$n.format.log" 2>&1 &
			formatting+=("$!")
		fi
	done
	for i in "${formatting[@]}"; do
		wait "$i" || die "format failed: $(tail -qn 3 "$dir"/n*.format.log)"
	done
	for ((i = 1; i <= nodes; i++)); do
		launch "$dir" "$i" "$jars" "$log"
	done
	for ((i = 0; i < nodes; i++)); do
		await "$dir" $((i + 1)) $((port + 10 * i))
	done
	echo "$brokers"
}

# launch starts a node that has been formatted.
launch() {
	local dir=$1 n=$2 jars=$3 log=$4
	(jvm "$jars" "${KAFKA_HEAP:-400m}" "$log" kafka.Kafka "$dir/n$n.properties") >>"$dir/n$n.log" 2>&1 </dev/null &
	echo $! >"$dir/n$n.pid"
	disown
}

# node starts one node again. It does not wait until the node answers: without the
# others it may not be able to.
node() {
	local dir n=$2
	dir=$(cd "$1" && pwd)
	[ -f "$dir/n$n.properties" ] || die "there is no node $n in $dir"
	launch "$dir" "$n" "$(libs)" "$(logger "$dir")"
}

# await waits until a node answers at its port.
await() {
	local dir=$1 n=$2 port=$3 deadline=$((SECONDS + 240))
	until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
		kill -0 "$(cat "$dir/n$n.pid")" 2>/dev/null || die "node $n ended: $(tail -n 5 "$dir/n$n.log")"
		((SECONDS < deadline)) || die "node $n does not answer at port $port: $(tail -n 5 "$dir/n$n.log")"
		sleep 0.2
	done
}

stop() {
	local dir=$1 file pid deadline
	for file in "$dir"/n*.pid; do
		[ -f "$file" ] && kill "$(cat "$file")" 2>/dev/null || true
	done
	for file in "$dir"/n*.pid; do
		[ -f "$file" ] || continue
		pid=$(cat "$file")
		deadline=$((SECONDS + 20))
		while kill -0 "$pid" 2>/dev/null; do
			((SECONDS < deadline)) || kill -9 "$pid" 2>/dev/null || true
			sleep 0.1
		done
		rm -f "$file"
	done
}

case "${1:-}" in
libs) libs ;;
streams) streams ;;
start)
	[ $# -ge 2 ] || die "start DIR [NODES [PORT]]"
	shift
	start "$@"
	;;
node)
	[ $# -eq 3 ] || die "node DIR N"
	node "$2" "$3"
	;;
stop)
	[ $# -eq 2 ] || die "stop DIR"
	stop "$2"
	;;
run)
	[ $# -ge 2 ] || die "run CLASS [ARGUMENT...]"
	shift
	jars=$(libs)
	mkdir -p "$cache"
	log=$(logger "$cache")
	jvm "$jars" 256m "$log" "$@"
	;;
*)
	sed -n '2,/^set -e/p' "$0" | sed -n 's/^# \{0,1\}//p'
	exit 2
	;;
esac
