package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/broker"
)

// A transaction that is left open is listed, described, aborted where it is, and ended at its coordinator.
func TestTransactionsLeftOpen(t *testing.T) {
	b, err := broker.Open(broker.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Durability: broker.PageCache, DefaultPartitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr().String()), kgo.TransactionalID("left"), kgo.DefaultProduceTopic("orders"),
		kgo.AllowAutoTopicCreation(), kgo.TransactionTimeout(10*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(context.Background(), kgo.StringRecord("open")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	says := func(code int, pattern string, typed string) {
		t.Helper()
		var out, log bytes.Buffer
		words := append(strings.Fields(typed), "--bootstrap-server", b.Addr().String())
		argv := words[1:]
		got := runScript(t.Context(), words[0], words[0], argv, strings.NewReader(""), &out, &log)
		if text := out.String() + log.String(); got != code || !regexp.MustCompile(`(?m)`+pattern).MatchString(text) {
			t.Errorf("%s: %d\n%s\nwant %d and %s", typed, got, text, code, pattern)
		}
	}
	const none = `^\S+\t.*\t\n\z` // the head alone
	says(0, `^left +\t1 +\t\d+ +\tOngoing +\t$`, "kafka-transactions.sh list")
	says(0, none, "kafka-transactions.sh list --duration-filter 86400000")
	says(0, none, "kafka-transactions.sh list --transactional-id-pattern lef")
	says(0, `^1 +\tleft +\t\d+ +\t0 +\tOngoing +\t600000 +\t\d+ +\t\d+ +\torders-0 +\t$`, "kafka-transactions.sh describe --transactional-id left")
	says(1, "transactional id other: there is no such transactional id$", "kafka-transactions.sh describe --transactional-id other")
	says(0, `^\d+ +\t0 +\t-1 +\t0 +\t\d+\t0 +\t$`, "kafka-transactions.sh describe-producers --topic orders --partition 0 --broker-id 1")
	says(1, "topic orders has no partition 7$", "kafka-transactions.sh describe-producers --topic orders --partition 7")
	says(0, none, "kafka-transactions.sh find-hanging --broker-id 1 --max-transaction-timeout 0") // its coordinator knows it
	says(1, "no open transaction begins at offset 99 of topic orders partition 0$", "kafka-transactions.sh abort --topic orders --partition 0 --start-offset 99")
	says(0, `\A\z`, "kafka-transactions.sh abort --topic orders --partition 0 --start-offset 0")
	says(0, `^\d+ +\t\d+ +\t.*\tNone +\t$`, "kafka-transactions.sh describe-producers --topic orders --partition 0")
	says(0, `\A\z`, "kafka-transactions.sh forceTerminateTransaction --transactionalId left")
	says(0, `^left +\t1 +\t\d+ +\tCompleteAbort\t$|^left .*Empty`, "kafka-transactions.sh list")
}
