// Command bench compares tributary with its peers on one machine: its collector
// with goflow2, pmacct's nfacctd and KFlow, its broker with Apache Kafka. It
// prints CPU time for the same work, and ratios; rates by the clock say little on
// a machine that others use too.
//
//	go run ./bench                collectors, then brokers
//	go run ./bench collectors     collectors only
//	go run ./bench brokers        brokers only
//	go run ./bench --quick        one short round of everything
//
// Every peer is a child process on loopback. The peers take turns within each
// round, so that what else the machine does meets all of them alike; ratios are
// formed within a round. What costs nothing to the question is not counted: load
// generator and Kafka clients run in this process, the broker behind collectors
// in one of its own.
//
// A peer that is not installed is left out with a word: nfacctd is Debian's
// package pmacct; Apache Kafka comes from scripts/kafka.sh, or from the folder
// that KAFKA_LIBS names; KFlow is measured when --kflow names its jar, which its
// authors release. It, and ours in its place, listen on all addresses.
package main
