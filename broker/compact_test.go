package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A consumer of a compacted topic finds the last record of each key, with its offset.
func TestCompactedTopic(t *testing.T) {
	cfg := testConfig(t)
	cfg.CompactionInterval = 10 * time.Millisecond
	b := open(t, cfg)
	cl := client(t, b)
	compact, small, always := "compact", "1024", "0"
	_, err := kadm.NewClient(cl).CreateTopic(deadline(t), 1, 1, map[string]*string{
		"cleanup.policy": &compact, "segment.bytes": &small, "min.cleanable.dirty.ratio": &always,
	}, "state")
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]int64{}
	for i := range 200 {
		r := &kgo.Record{Topic: "state", Key: fmt.Appendf(nil, "k%d", i%5), Value: fmt.Appendf(nil, "%d", i)}
		if err := cl.ProduceSync(deadline(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		last[string(r.Key)] = r.Offset
	}
	if err := cl.ProduceSync(deadline(t), &kgo.Record{Topic: "state", Value: []byte("x")}).FirstErr(); err != kerr.InvalidRecord {
		t.Errorf("record without a key: %v", err)
	}
	eventually(t, "the log is compacted", func() bool { return b.Stats().Disk.Compactions > 0 })
	got, seen := map[string]int64{}, 0
	reader := client(t, b, kgo.ConsumeTopics("state"))
	for len(got) < len(last) || got["k4"] < last["k4"] {
		for _, r := range consume(t, reader, 1) {
			if want := fmt.Sprint(r.Offset); string(r.Value) != want {
				t.Fatalf("value %s at offset %s", r.Value, want)
			}
			got[string(r.Key)] = r.Offset
			seen++
		}
	}
	for k, offset := range last {
		if got[k] != offset {
			t.Errorf("%s is at %d, want %d", k, got[k], offset)
		}
	}
	if seen == 200 {
		t.Error("nothing was compacted")
	}
}

// Without room produce is refused with an error that a client tries again, and groups go on.
func TestDiskBudget(t *testing.T) {
	cfg := testConfig(t)
	cfg.DiskBudget = 20_000
	b := open(t, cfg)
	makeTopic(t, b, "flows")
	c := rawDial(t, b)
	var code int16
	for n := 0; code == 0; n++ {
		if n > 100 {
			t.Fatal("never refused")
		}
		resp := c.request(produceRequest(9, -1, "flows", 0, goodBatch(1, 1000))).(*kmsg.ProduceResponse)
		code = resp.Topics[0].Partitions[0].ErrorCode
	}
	if err := kerr.ErrorForCode(code); err != kerr.KafkaStorageError || !kerr.IsRetriable(err) {
		t.Errorf("refused with %v", err)
	}
	if s := b.Stats(); !s.Disk.Full || s.Disk.Refused == 0 || s.Offline {
		t.Errorf("%+v", s.Disk)
	}
	adm := kadm.NewClient(client(t, b))
	offsets := kadm.Offsets{}
	offsets.AddOffset("flows", 0, 1, -1)
	if err := adm.CommitAllOffsets(deadline(t), "g", offsets); err != nil {
		t.Errorf("commit on a full disk: %v", err)
	}
}
