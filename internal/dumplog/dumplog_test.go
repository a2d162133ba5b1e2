package dumplog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/dumplog"
)

// data is the directory of a broker that has had every kind of record, and is closed.
func data(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	b, err := broker.Open(broker.Config{DataDir: dir, SegmentBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	client := func(opts ...kgo.Opt) *kgo.Client {
		t.Helper()
		cl, err := kgo.NewClient(append(opts, kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }))...)
		if err != nil {
			t.Fatal(err)
		}
		return cl
	}
	admin := client()
	defer admin.Close()
	if _, err := kadm.NewClient(admin).CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for i, codec := range codecs {
		cl := client(kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(codec))
		var records []*kgo.Record
		for j := range 20 {
			r := &kgo.Record{Key: fmt.Appendf(nil, "key %d", j), Value: fmt.Appendf(nil, "codec %d record %d %s", i, j, strings.Repeat("x", 1000))}
			if j%2 == 0 {
				r.Headers = []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "none"}}
			}
			if j%5 == 0 {
				r.Key = nil
			}
			if j == 19 {
				r.Value = nil
			}
			records = append(records, r)
		}
		for part := range slices.Chunk(records, 4) {
			if err := cl.ProduceSync(t.Context(), part...).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		cl.Close()
	}
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		cl := client(kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("t"))
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord("in a transaction")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		cl.Close()
	}
	member := client(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	for n := 0; n < 102; {
		fetches := member.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		n += fetches.NumRecords()
	}
	if err := member.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	member.Close()
	if _, err := kadm.NewClient(admin).DeleteGroups(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	migrate(t, admin, client(kgo.ConsumerGroup("n"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Rack("r")))
	return dir
}

// migrate has a group of one classic member become one of KIP-848, and classic again.
func migrate(t *testing.T, admin, member *kgo.Client) {
	defer member.Close()
	for n := 0; n == 0; n = member.PollFetches(t.Context()).NumRecords() {
		if t.Context().Err() != nil {
			t.Fatal("nothing to read")
		}
	}
	beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	beat.Group, beat.MemberID, beat.InstanceID, beat.RackID = "n", "next", kmsg.StringPtr("one"), kmsg.StringPtr("q")
	beat.RebalanceTimeoutMillis, beat.Topics = 60_000, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	beat.SubscribedTopicNames, beat.SubscribedTopicRegex, beat.ServerAssignor = []string{"t"}, kmsg.StringPtr("u.*"), kmsg.StringPtr("range")
	for _, epoch := range []int32{0, -1} {
		beat.MemberEpoch = epoch
		if resp, err := beat.RequestWith(t.Context(), admin); err != nil || resp.ErrorCode != 0 {
			t.Fatalf("%+v, %v", resp, err)
		}
	}
}

// files are those of a partition with a suffix, in order.
func files(t *testing.T, dir, partition, suffix string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, partition, "*"+suffix))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s has no %s: %v", partition, suffix, err)
	}
	return found
}

func dump(t *testing.T, o dumplog.Options, paths ...string) string {
	t.Helper()
	var b bytes.Buffer
	for _, p := range paths {
		if err := dumplog.File(&b, p, o); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestSegmentsAsJSON(t *testing.T) {
	dir := data(t)
	logs := files(t, dir, "t-0", ".log")
	if len(logs) < 2 {
		t.Errorf("%d segments", len(logs))
	}
	codecs, markers, offset := map[string]int{}, map[string]int{}, int64(0)
	for line := range strings.Lines(dump(t, dumplog.Options{Format: dumplog.JSON, Records: true, Decode: dumplog.Auto}, logs...)) {
		var r struct {
			Type, Compression, Marker string
			Offset                    int64
			Key, Value                *string
			Headers                   []struct{ Name, Value *string }
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if r.Type == "batch" {
			codecs[r.Compression]++
			continue
		}
		if r.Offset != offset {
			t.Fatalf("offset %d, want %d: %s", r.Offset, offset, line)
		}
		offset++
		markers[r.Marker]++
		if i := r.Offset % 20; r.Offset < 100 {
			want := fmt.Sprintf("codec %d record %d ", r.Offset/20, i)
			if (r.Value == nil) != (i == 19) || r.Value != nil && !strings.HasPrefix(*r.Value, want) || (r.Key == nil) != (i%5 == 0) {
				t.Fatalf("want %s in %s", want, line)
			}
			if i%2 == 0 && (len(r.Headers) != 2 || *r.Headers[0].Value != "1" || r.Headers[1].Value != nil) {
				t.Fatalf("headers in %s", line)
			}
		}
	}
	if offset != 104 || markers["COMMIT"] != 1 || markers["ABORT"] != 1 || len(codecs) != 5 {
		t.Errorf("%d records, markers %v, codecs %v", offset, markers, codecs)
	}
}

func TestInternalTopicsAreDecoded(t *testing.T) {
	dir := data(t)
	o := dumplog.Options{Format: dumplog.Text, Records: true, Decode: dumplog.Auto}
	for partition, want := range map[string][]string{
		"__consumer_offsets-0": {
			`{"type":"1","data":{"group":"g","topic":"t","partition":0}}`, `"offset":103`, `"protocolType":"consumer"`, `  null`,
			`{"type":"3","data":{"groupId":"n"}}`, `"serverAssignor":"range"}`, `"classicMemberMetadata":{"sessionTimeoutMs":45000,"supportedProtocols":[{"name":"cooperative-sticky"`,
			`{"type":"6","data":{"groupId":"n"}}`, `"assignmentEpoch":`, `{"type":"7","data":{"groupId":"n","memberId":"next"}}`,
			`{"type":"8","data":{"groupId":"n","memberId":"next"}}`, `"partitionsPendingRevocation":[]`,
		},
		"__transaction_state-0": {`{"type":"0","data":{"transactionalId":"tx"}}`, `"transactionStatus":5`},
	} {
		path := files(t, dir, partition, ".log")[0]
		out := dump(t, o, path)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: no %s in\n%s", partition, w, out)
			}
		}
		o.Decode = dumplog.Plain
		if out := dump(t, o, path); strings.Contains(out, `"type"`) {
			t.Errorf("decoded without being asked for:\n%s", out)
		}
		o.Decode = dumplog.Auto
	}
}

func TestOtherFiles(t *testing.T) {
	dir := data(t)
	for path, want := range map[string]string{
		files(t, dir, "t-0", ".index")[0]:                      `{"type":"offset_index","offset":`,
		files(t, dir, "t-0", ".timeindex")[0]:                  `{"type":"time_index","timestamp":"20`,
		files(t, dir, "t-0", ".txnindex")[0]:                   `{"type":"aborted_transaction","producer_id":`,
		files(t, dir, "t-0", ".snapshot")[0]:                   `{"type":"producer","producer_id":0,"producer_epoch":0,`,
		filepath.Join(dir, "recovery-point-offset-checkpoint"): `{"offset":104,"partition":0,"topic":"t","type":"line"}`,
		filepath.Join(dir, "t-0", "leader-epoch-checkpoint"):   `{"epoch":0,"offset":0,"type":"line"}`,
		filepath.Join(dir, "meta.properties"):                  `{"name":"node.id","type":"line","value":"1"}`,
		filepath.Join(dir, "t-0", "partition.metadata"):        `{"name":"version","type":"line","value":"0"}`,
		filepath.Join(dir, "producer-id-checkpoint"):           `{"producer_id":1000,"type":"line"}`,
	} {
		if out := dump(t, dumplog.Options{Format: dumplog.JSON}, path); !strings.Contains(out, want) {
			t.Errorf("%s: no %s in\n%s", filepath.Base(path), want, out)
		}
		if out := dump(t, dumplog.Options{Format: dumplog.Text}, path); strings.Count(out, "\n") < 3 {
			t.Errorf("%s as text:\n%s", filepath.Base(path), out)
		}
	}
}

// What can be read of a damaged file is printed, and the error says where it ends.
func TestDamage(t *testing.T) {
	dir := data(t)
	o := dumplog.Options{Format: dumplog.JSON, Records: true}
	damaged := func(path string, change func([]byte) []byte) (lines int, err error) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := filepath.Join(t.TempDir(), filepath.Base(path))
		if err := os.WriteFile(changed, change(b), 0o644); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err = dumplog.File(&out, changed, o)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("several lines: %v", err)
		}
		return strings.Count(out.String(), "\n"), err
	}
	cut := func(b []byte) []byte { return b[:len(b)-3] }
	flip := func(at func(n int) int) func([]byte) []byte {
		return func(b []byte) []byte { b[at(len(b))] ^= 0x40; return b }
	}
	log := files(t, dir, "t-0", ".log")[0]
	whole, err := damaged(log, func(b []byte) []byte { return b })
	if err != nil || whole == 0 {
		t.Fatalf("a whole file: %d lines, %v", whole, err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"cut": cut, "flipped at the end": flip(func(n int) int { return n - 1 }), "zeros": func(b []byte) []byte { return append(b, make([]byte, 100)...) },
	} {
		n, err := damaged(log, change)
		if err == nil || !strings.Contains(err.Error(), "position ") {
			t.Errorf("%s: %v", name, err)
		}
		if least := whole - 5; n < least {
			t.Errorf("%s: %d lines of %d", name, n, whole)
		}
	}
	if n, err := damaged(log, flip(func(int) int { return 30 })); err == nil || n != 0 || !strings.Contains(err.Error(), "position 0") {
		t.Errorf("first batch flipped: %d lines, %v", n, err)
	}
	index := files(t, dir, "t-0", ".index")[0]
	for name, path := range map[string]string{
		"index": index, "time index": files(t, dir, "t-0", ".timeindex")[0],
		"transaction index": files(t, dir, "t-0", ".txnindex")[0], "snapshot": files(t, dir, "t-0", ".snapshot")[0],
	} {
		if _, err := damaged(path, cut); err == nil {
			t.Errorf("%s cut short is taken", name)
		}
	}
	if n, err := damaged(index, func(b []byte) []byte { return append(b, make([]byte, 80)...) }); err != nil || n == 0 {
		t.Errorf("room kept free in an index: %d lines, %v", n, err)
	}
	if err := os.WriteFile(index, append([]byte{0, 0, 0, 9, 0, 0, 0, 7}, 0, 0, 0, 10, 0, 0, 1, 0), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := dumplog.File(&bytes.Buffer{}, index, o); err == nil || !strings.Contains(err.Error(), "position 7 of") {
		t.Errorf("an index that leads nowhere: %v", err)
	}
	for name, content := range map[string]string{
		"leader-epoch-checkpoint": "0\n2\n0 0\n", "recovery-point-offset-checkpoint": "0\n1\nt 0 minus\n", "meta.properties": "nothing",
		"strange": "x",
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := dumplog.File(&bytes.Buffer{}, path, o); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Byte for byte what Apache Kafka's DumpLogSegments prints.
func TestKafkasOwnForm(t *testing.T) {
	libs := os.Getenv("KAFKA_LIBS")
	if libs == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("KAFKA_LIBS must name a folder of Apache Kafka's jars")
		}
		t.Skip("KAFKA_LIBS names no folder of Apache Kafka's jars")
	}
	dir := data(t)
	var all []string
	for _, suffix := range []string{".log", ".index", ".timeindex", ".txnindex", ".snapshot"} {
		all = append(all, files(t, dir, "t-0", suffix)...)
	}
	for option, paths := range map[string][]string{
		"--print-data-log":          all,
		"--offsets-decoder":         files(t, dir, "__consumer_offsets-0", ".log"),
		"--transaction-log-decoder": files(t, dir, "__transaction_state-0", ".log"),
	} {
		var complaints bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(libs, "*"),
			"org.apache.kafka.tools.DumpLogSegments", option, "--files", strings.Join(paths, ","))
		cmd.Stderr = &complaints
		want, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, complaints.String())
		}
		got := dump(t, dumplog.Options{Format: dumplog.Kafka, Records: true, Decode: dumplog.Auto}, paths...)
		wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got, "\n")
		for i := range min(len(wantLines), len(gotLines)) {
			if gotLines[i] != wantLines[i] {
				t.Fatalf("%s: line %d is\n%s\nKafka's is\n%s", option, i+1, gotLines[i], wantLines[i])
			}
		}
		if len(wantLines) != len(gotLines) || len(gotLines) < 3 {
			t.Errorf("%s: %d lines, Kafka has %d", option, len(gotLines), len(wantLines))
		}
	}
}
