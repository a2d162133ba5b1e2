package commitlog_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tributary-net/tributary/internal/commitlog"
)

var update = flag.Bool("update", false, "write testdata anew")

// A directory that an earlier release wrote still opens, with all that was in it. The names of testdata are those of
// the on-disk versions; none is ever changed.
func TestOldVersionsOpen(t *testing.T) {
	const start = 1_700_000_000_000
	want := func(i int64) string { return fmt.Sprintf("flow %d", i) }
	if *update {
		if err := os.RemoveAll("testdata/v1"); err != nil {
			t.Fatal(err)
		}
		d := open(t, commitlog.DirConfig{Path: "testdata/v1", NodeID: 1, ClusterID: "tributary-test-cluster"})
		l, err := d.Create("flows", commitlog.ID{0x11, 0x22, 0x33}, 0, commitlog.LogConfig{SegmentBytes: 1024, IndexIntervalBytes: 256})
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(20) {
			s := batchSpec{baseTime: start + i, producer: 7, epoch: 1, sequence: int32(2 * i), records: [][]byte{[]byte(want(2 * i)), []byte(want(2*i + 1))}}
			appendTo(t, l, s.build())
		}
		flushAll(t, l)
		if _, err := l.DeleteBefore(3); err != nil {
			t.Fatal(err)
		}
		if _, err := d.ReserveProducerIDs(1000); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, clean := range []bool{true, false} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("testdata/v1")); err != nil {
			t.Fatal(err)
		}
		if !clean {
			if err := os.Remove(filepath.Join(dir, ".kafka_cleanshutdown")); err != nil {
				t.Fatal(err)
			}
		}
		d := open(t, commitlog.DirConfig{Path: dir, NodeID: 1})
		if d.WasClean() != clean || d.ClusterID() != "tributary-test-cluster" {
			t.Errorf("clean %v, cluster %q", d.WasClean(), d.ClusterID())
		}
		l := d.Log("flows", 0)
		if l == nil || l.TopicID() != [16]byte{0x11, 0x22, 0x33} || l.StartOffset() != 3 || l.EndOffset() != 40 || (l.LeaderEpoch() == 0) != clean {
			t.Fatalf("log %+v", l)
		}
		for i, r := range readFrom(t, l, 3, 300) {
			if r.offset != int64(3+i) || r.value != want(r.offset) {
				t.Fatalf("record %d at %d is %q", i, r.offset, r.value)
			}
		}
		if o, ts, _, err := l.OffsetForTime(start + 10); o != 20 || ts != start+10 || err != nil {
			t.Errorf("time: %d %d %v", o, ts, err)
		}
		if p := l.Producers(); len(p) != 1 || p[0] != (commitlog.ProducerInfo{ProducerID: 7, Epoch: 1, LastSequence: 39, LastOffset: 39, LastTimestamp: start + 19, TxnStartOffset: -1, CoordinatorEpoch: -1}) {
			t.Errorf("producers %+v", p)
		}
		retry := batchSpec{baseTime: start + 15, producer: 7, epoch: 1, sequence: 30, records: [][]byte{[]byte(want(30)), []byte(want(31))}}
		if info := appendTo(t, l, retry.build()); !info.Duplicate || info.BaseOffset != 30 {
			t.Errorf("retry: %+v", info)
		}
		if id, err := d.ReserveProducerIDs(1); id != 1000 || err != nil {
			t.Errorf("producer id %d, %v", id, err)
		}
	}
}
