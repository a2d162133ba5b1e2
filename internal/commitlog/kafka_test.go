package commitlog_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/tributary-net/tributary/internal/commitlog"
)

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func lz4Framed(b []byte) []byte {
	var out bytes.Buffer
	z := lz4.NewWriter(&out)
	_ = z.Apply(lz4.BlockSizeOption(lz4.Block64Kb))
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func zstdFramed(b []byte) []byte {
	z, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	defer z.Close()
	return z.EncodeAll(b, nil)
}

// xerial is what snappy-java makes of it, in two blocks.
func xerial(b []byte) []byte {
	out := append([]byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}, 0, 0, 0, 1, 0, 0, 0, 1)
	for _, part := range [][]byte{b[:len(b)/2], b[len(b)/2:]} {
		s := snappy.Encode(nil, part)
		out = append(out, byte(len(s)>>24), byte(len(s)>>16), byte(len(s)>>8), byte(len(s)))
		out = append(out, s...)
	}
	return out
}

var codecs = []struct {
	name       string
	attributes uint16
	squeeze    func([]byte) []byte
}{
	{"none", 0, nil},
	{"gzip", 1, gzipped},
	{"snappy", 2, xerial},
	{"bare snappy", 2, func(b []byte) []byte { return snappy.Encode(nil, b) }},
	{"lz4", 3, lz4Framed},
	{"zstd", 4, zstdFramed},
}

// dumper runs Kafka's DumpLogSegments, which must have nothing to complain of.
func dumper(t *testing.T) func(args ...string) string {
	t.Helper()
	libs := os.Getenv("KAFKA_LIBS")
	if libs == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("KAFKA_LIBS must name a folder of Apache Kafka's jars")
		}
		t.Skip("KAFKA_LIBS names no folder of Apache Kafka's jars")
	}
	return func(args ...string) string {
		t.Helper()
		args = append([]string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(libs, "*"), "org.apache.kafka.tools.DumpLogSegments"}, args...)
		out, err := exec.Command("java", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args[5:], err, out)
		}
		for _, bad := range []string{"mismatch", "Mismatch", "not found", "Exception", "out of order", "Found timestamp", "isvalid: false", "invalid"} {
			if strings.Contains(string(out), bad) {
				t.Errorf("%v: %q in\n%.4000s", args[5:], bad, out)
			}
		}
		return string(out)
	}
}

// globbed names the files of a topic's partition 0 with a suffix.
func globbed(t *testing.T, dir, topic, suffix string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, topic+"-0", "*"+suffix))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s files: %v", suffix, err)
	}
	return strings.Join(files, ",")
}

// Kafka's own tool reads every file and has nothing to complain of.
func TestDumpLogSegments(t *testing.T) {
	dump := dumper(t)
	dir := t.TempDir()
	d := open(t, commitlog.DirConfig{Path: dir})
	l := create(t, d, "flows", commitlog.LogConfig{SegmentBytes: 40_000, IndexIntervalBytes: 1000})
	la := create(t, d, "stamped", commitlog.LogConfig{SegmentBytes: 40_000, TimestampType: commitlog.LogAppendTime})
	sequence := int32(0)
	for i := range 400 {
		c := codecs[i%len(codecs)]
		spec := batchSpec{baseTime: 1_700_000_000_000 + int64(i*37%500)*1000, producer: -1, attributes: c.attributes, squeeze: c.squeeze}
		if i%3 == 0 {
			spec.producer, spec.epoch, spec.sequence = 4711, 2, sequence
			sequence += 5
		}
		for j := range 5 {
			spec.records = append(spec.records, fmt.Appendf(nil, "record %d of batch %d %s", j, i, strings.Repeat("x", i%90)))
			spec.times = append(spec.times, spec.baseTime+int64(j))
		}
		appendTo(t, l, spec.build())
		spec.producer = -1
		appendTo(t, la, spec.build())
	}
	lt := create(t, d, "txns", commitlog.LogConfig{})
	appendTxn(t, lt, inTxn(8, 1, 0, 2))
	appendTxn(t, lt, inTxn(9, 0, 0, 3))
	if _, err := lt.AppendMarker(commitlog.TxnMarker{ProducerID: 8, ProducerEpoch: 1, CoordinatorEpoch: 12}); err != nil {
		t.Fatal(err)
	}
	end := l.EndOffset()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(l.Segments()); n < 2 {
		t.Fatalf("%d segments", n)
	}
	for _, topic := range []string{"flows", "stamped"} {
		out := dump("--files", globbed(t, dir, topic, ".log"), "--deep-iteration", "--print-data-log")
		records := regexp.MustCompile(`(?m)^\| offset: (\d+) .*payload: record (\d+) of batch (\d+) `).FindAllStringSubmatch(out, -1)
		if int64(len(records)) != end {
			t.Fatalf("%s: %d records of %d in\n%.3000s", topic, len(records), end, out)
		}
		for i, r := range records {
			if r[1] != fmt.Sprint(i) || r[2] != fmt.Sprint(i%5) || r[3] != fmt.Sprint(i/5) {
				t.Fatalf("%s: record %d is %v", topic, i, r[0])
			}
		}
		if out := dump("--files", globbed(t, dir, topic, ".index"), "--index-sanity-check"); !strings.Contains(out, "passed sanity check") {
			t.Errorf("index: %s", out)
		}
		out = dump("--files", globbed(t, dir, topic, ".index"))
		if n := strings.Count(out, "position: "); n < 10 {
			t.Errorf("%d index entries in\n%s", n, out)
		}
		out = dump("--files", globbed(t, dir, topic, ".timeindex"))
		if !strings.Contains(out, "timestamp: ") {
			t.Errorf("no entries in\n%s", out)
		}
	}
	for _, c := range []struct{ suffix, want string }{
		{".log", "endTxnMarker: ABORT coordinatorEpoch: 12"},
		{".txnindex", "version: 0 producerId: 8 firstOffset: 0 lastOffset: 5 lastStableOffset: 2"},
		{".snapshot", "producerId: 9 producerEpoch: 0 coordinatorEpoch: -1 currentTxnFirstOffset: OptionalLong[2]"},
		{".snapshot", "producerId: 8 producerEpoch: 1 coordinatorEpoch: 12 currentTxnFirstOffset: OptionalLong.empty"},
	} {
		if out := dump("--files", globbed(t, dir, "txns", c.suffix), "--deep-iteration"); !strings.Contains(out, c.want) {
			t.Errorf("want %s in\n%s", c.want, out)
		}
	}
	out := dump("--files", globbed(t, dir, "flows", ".snapshot"))
	want := fmt.Sprintf("lastTimestamp: %d firstSequence: %d lastSequence: %d lastOffset: %d",
		int64(1_700_000_000_000+399*37%500*1000+4), sequence-5, sequence-1, end-1)
	if !strings.Contains(out, want) {
		t.Errorf("want %s in\n%s", want, out)
	}
}

// Kafka's tool reads compacted segments, with delete horizons, empty batches and every codec.
func TestDumpCompacted(t *testing.T) {
	dump := dumper(t)
	dir := t.TempDir()
	d := open(t, commitlog.DirConfig{Path: dir, CleanerInterval: -1})
	l := create(t, d, "state", commitlog.LogConfig{SegmentBytes: 40_000, IndexIntervalBytes: 500, Compact: true})
	for i := range 600 {
		c := codecs[i%len(codecs)]
		spec := batchSpec{baseTime: 1_700_000_000_000 + int64(i), producer: int64(i % 7), sequence: int32(i / 7 * 4), attributes: c.attributes, squeeze: c.squeeze}
		for j := range 4 {
			spec.keys = append(spec.keys, fmt.Appendf(nil, "key %d", (i*j)%90))
			if value := fmt.Appendf(nil, "value %d %s", i, strings.Repeat("x", i%200)); (i+j)%11 == 0 {
				spec.records = append(spec.records, nil)
			} else {
				spec.records = append(spec.records, value)
			}
		}
		if i%7 == 6 {
			spec.attributes |= 0x10
		}
		appendTxn(t, l, spec.build())
		if i%70 == 69 {
			end(t, l, 6, 0, i%140 == 69)
		}
	}
	end(t, l, 6, 0, true)
	roll(t, d, l)
	before := l.Size()
	d.Compact(now())
	if st := d.Stats(); st.Compactions != 1 || st.CompactErrors != 0 || l.Size() > before/2 {
		t.Fatalf("from %d to %d bytes, %+v", before, l.Size(), st)
	}
	want := left(t, l)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	out := dump("--files", globbed(t, dir, "state", ".log"), "--deep-iteration", "--print-data-log")
	for _, want := range []string{"deleteHorizonMs: OptionalLong[", "compresscodec: gzip", "compresscodec: snappy", "compresscodec: lz4", "compresscodec: zstd", "endTxnMarker: ABORT"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%.3000s", want, out)
		}
	}
	records := regexp.MustCompile(`(?m)^\| offset: (\d+) `).FindAllStringSubmatch(out, -1)
	if n := len(regexp.MustCompile(`\b\d+:(key |marker|end=)`).FindAllString(want, -1)); n == 0 || n != len(records) {
		t.Errorf("%d records, want %d: %.500s", len(records), n, want)
	}
	dump("--files", globbed(t, dir, "state", ".index"), "--index-sanity-check")
	dump("--files", globbed(t, dir, "state", ".index"))
	dump("--files", globbed(t, dir, "state", ".timeindex"))
	if out := dump("--files", globbed(t, dir, "state", ".txnindex")); !strings.Contains(out, "producerId: 6") {
		t.Errorf("no aborted transaction in\n%s", out)
	}
}
