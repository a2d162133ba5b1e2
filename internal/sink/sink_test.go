package sink_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/sink"
)

// patience is how long tests wait for what must come.
const patience = 2 * time.Minute

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("this did not come true: %s", what)
		}
	}
}

// received is when the first record of these tests was received.
var received = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// record fills in a record that is known by a worker and a number.
func record(r *flow.Record, worker, n int) {
	r.Reset()
	r.SetUint(flow.Type, 4)
	r.SetUint(flow.TimeReceived, uint64(received.Add(time.Duration(n)*time.Millisecond).UnixNano()))
	r.SetUint(flow.Etype, 0x800)
	var src [4]byte
	binary.BigEndian.PutUint32(src[:], 10<<24|uint32(n))
	r.SetAddr4(flow.SrcAddr, src)
	r.SetAddr4(flow.DstAddr, [4]byte{192, 0, 2, byte(worker)})
	r.SetUint(flow.SrcPort, uint64(worker))
	r.SetUint(flow.Bytes, 1500)
	r.SetUint(flow.Packets, 1)
}

// number tells which record of which worker this is.
func number(r *flow.Record) (worker, n int) {
	src := r.Addr(flow.SrcAddr).As4()
	return int(r.Uint(flow.SrcPort)), int(binary.BigEndian.Uint32(src[:]) & 0xffffff)
}

func open(t *testing.T, endpoint string, cfg sink.Config) sink.Sink {
	t.Helper()
	e, err := sink.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sink.Open(e, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// write has n workers write per records each, at once.
func write(t *testing.T, s flow.WorkerSink, workers, per int) {
	t.Helper()
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			h := s.Worker()
			var r flow.Record
			for i := range per {
				record(&r, w, i)
				if err := h.Write(&r); err != nil {
					t.Error(err)
					return
				}
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// watch looks at a sink's account until it is stopped: the sum of what was decided
// never exceeds what was written.
func watch(t *testing.T, s sink.Sink) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			st := s.Stats()
			if decided := st.Delivered + st.Dropped + st.Refused; decided > st.Written {
				t.Errorf("%d records were decided on, but only %d written: %+v", decided, st.Written, st)
				return
			}
			if st.QueueLimit > 0 && (st.QueueBytes < 0 || st.QueueBytes > st.QueueLimit) {
				t.Errorf("%d octets in a queue of %d", st.QueueBytes, st.QueueLimit)
				return
			}
			select {
			case <-done:
				return
			case <-time.After(100 * time.Microsecond):
			}
		}
	}()
	return func() { close(done); <-ended }
}

func check(t *testing.T, s sink.Sink, want sink.Stats) {
	t.Helper()
	got := s.Stats()
	got.Bytes, got.QueueBytes, got.QueueLimit = 0, 0, 0
	if got != want {
		t.Errorf("account is %+v, want %+v", got, want)
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ endpoint, name, err string }{
		{endpoint: "stdout:"},
		{endpoint: "discard:?format=kflow"},
		{endpoint: "file:/tmp/x.bin"},
		{endpoint: "file:x?format=packed"},
		{endpoint: "kafka://k1:9092,k2:9093/flows?acks=all&key=src_addr,dst_addr&format=json"},
		{endpoint: "kafka://[2001:db8::1]:9092,[2001:db8::2]/flows"},
		{endpoint: "kafka://k1?sasl.mechanism=PLAIN&sasl.username=u&sasl.password=secret", name: "kafka://k1:9092?sasl.mechanism=PLAIN&sasl.password=***&sasl.username=u"},
		{endpoint: "", err: "allowed are"},
		{endpoint: "kafka", err: "allowed are"},
		{endpoint: "http://x", err: "allowed are"},
		{endpoint: "file:", err: "allowed is file:PATH"},
		{endpoint: "stdout:x", err: "takes no path"},
		{endpoint: "discard:?format=xml", err: "allowed are protobuf, packed, protobuf-single, json, kflow"},
		{endpoint: "file:x?key=src_addr", err: "allowed is format"},
		{endpoint: "kafka://k1/flows?format=xml", err: "allowed are protobuf"},
		{endpoint: "kafka://k1/flows?key=src-addr", err: "no such flow field"},
		{endpoint: "kafka://k1/flows?format=packed&key=src_addr", err: "format=packed"},
		{endpoint: "kafka://k1/flows?akcs=all", err: "unknown parameter"},
		{endpoint: "kafka://k1/a/b", err: "/"},
	} {
		e, err := sink.Parse(c.endpoint)
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", c.endpoint, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: error %v, want one line with %q", c.endpoint, err, c.err)
		}
		if c.err == "" && e.CheckKey(nil) != nil {
			t.Errorf("%s: %v", c.endpoint, e.CheckKey(nil))
		}
		if strings.Contains(e.String(), "secret") {
			t.Errorf("%s: its name %s tells the secret", c.endpoint, e)
		}
		if c.name != "" && !strings.HasPrefix(e.String(), c.name) {
			t.Errorf("%s: its name is %s, want %s", c.endpoint, e, c.name)
		}
	}
}

func TestDiscard(t *testing.T) {
	s := open(t, "discard:?format=json", sink.Config{})
	stop := watch(t, s)
	write(t, s, 4, 5000)
	stop()
	var r flow.Record
	record(&r, 9, 9)
	if err := s.Write(&r); err != nil {
		t.Fatal(err)
	}
	check(t, s, sink.Stats{Written: 20001, Delivered: 20001})
	if want := uint64(20001 * 100); s.Stats().Bytes < want {
		t.Errorf("%d octets encoded, want more than %d", s.Stats().Bytes, want)
	}
	if err := errors.Join(s.Ready(), s.Flush(t.Context()), s.Close()); err != nil {
		t.Error(err)
	}
}

// readFile returns the records in a file by worker, in order. Those of one worker
// must be in the order in which it wrote them.
func readFile(t *testing.T, path string, format flow.Format) map[int]int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	values := [][]byte{b}
	if format.Text() {
		values = bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	}
	count := map[int]int{}
	var r flow.Record
	for _, v := range values {
		if _, err := flow.DecodeAny(v, &r, func(r *flow.Record) error {
			w, n := number(r)
			if n != count[w] {
				return fmt.Errorf("worker %d: record %d where %d should be", w, n, count[w])
			}
			count[w]++
			return nil
		}); err != nil {
			t.Fatalf("%v: %.100q", err, v)
		}
	}
	return count
}

func TestFile(t *testing.T) {
	for _, name := range []string{"protobuf", "packed", "json", "kflow"} {
		t.Run(name, func(t *testing.T) {
			format, err := flow.ParseFormat(name)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "flows")
			s := open(t, "file:"+path+"?format="+name, sink.Config{})
			stop := watch(t, s)
			write(t, s, 4, 1500)
			stop()
			check(t, s, sink.Stats{Written: 6000, Delivered: 6000})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(readFile(t, path, format)); got != "map[0:1500 1:1500 2:1500 3:1500]" {
				t.Errorf("records by worker: %s", got)
			}
			if info, err := os.Stat(path); err != nil {
				t.Error(err)
			} else if uint64(info.Size()) != s.Stats().Bytes {
				t.Errorf("%d octets in the file, %d counted", info.Size(), s.Stats().Bytes)
			}

			// What is there already stays.
			s = open(t, "file:"+path+"?format="+name, sink.Config{})
			var r flow.Record
			record(&r, 7, 0)
			if err := errors.Join(s.Write(&r), s.Close()); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(readFile(t, path, format)); got != "map[0:1500 1:1500 2:1500 3:1500 7:1]" {
				t.Errorf("records by worker after opening again: %s", got)
			}
		})
	}
}

// TestFileFormat: without format= the name of the file tells.
func TestFileFormat(t *testing.T) {
	for name, want := range map[string]flow.Format{"flows.jsonl": flow.JSON, "flows.json": flow.JSON, "flows.bin": flow.Protobuf, "flows": flow.Protobuf} {
		path := filepath.Join(t.TempDir(), name)
		s := open(t, "file:"+path, sink.Config{})
		var r flow.Record
		record(&r, 1, 1)
		if err := errors.Join(s.Write(&r), s.Close()); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := flow.DecodeAny(bytes.TrimSpace(b), &r, func(*flow.Record) error { return nil }); err != nil || got != want {
			t.Errorf("%s has %s, %v; want %s", name, got, err, want)
		}
	}
}

func TestStdout(t *testing.T) {
	var out bytes.Buffer
	s := open(t, "stdout:", sink.Config{Stdout: &out})
	write(t, s, 2, 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 20 || !strings.HasPrefix(out.String(), `{"type":`) {
		t.Errorf("%d lines: %.100s", n, &out)
	}
	check(t, s, sink.Stats{Written: 20, Delivered: 20})
}

func TestFileThatCannotBeOpened(t *testing.T) {
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none", "flows")} {
		e, err := sink.Parse("file:" + path)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := sink.Open(e, sink.Config{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("open %s: %v, %v; want an error that names it", path, s, err)
		}
	}
}

// A disk that is full is an error, and the records are accounted for.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	s := open(t, "file:/dev/full", sink.Config{})
	h := s.Worker()
	var r flow.Record
	var err error
	n := 0
	for ; err == nil && n < 100_000; n++ {
		record(&r, 0, n)
		err = h.Write(&r)
	}
	if !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "\n") {
		t.Errorf("after %d records: error %v, want no space left on device", n, err)
	}
	check(t, s, sink.Stats{Written: uint64(n), Refused: uint64(n)})
	if err := h.Flush(t.Context()); err != nil {
		t.Errorf("flush of nothing: %v", err)
	}
	record(&r, 0, n)
	if err := s.Write(&r); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("one record: error %v, want no space left on device", err)
	}
	check(t, s, sink.Stats{Written: uint64(n) + 1, Refused: uint64(n) + 1})
	if err := s.Close(); err != nil {
		t.Errorf("a device has nothing to sync: %v", err)
	}
}

// What is no regular file is written to like one.
func TestDevice(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, path := range []string{os.DevNull, pipe} {
		s := open(t, "file:"+path+"?format=json", sink.Config{})
		var r flow.Record
		record(&r, 1, 2)
		if err := errors.Join(s.Write(&r), s.Flush(t.Context()), s.Close()); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		check(t, s, sink.Stats{Written: 1, Delivered: 1})
	}
	b := make([]byte, 4096)
	n, err := reader.Read(b)
	if err != nil || !strings.Contains(string(b[:n]), `"src_port":1`) {
		t.Errorf("the pipe has %q, %v", b[:n], err)
	}
}

func TestFanout(t *testing.T) {
	a, b := open(t, "discard:", sink.Config{}), open(t, "file:"+filepath.Join(t.TempDir(), "f"), sink.Config{})
	f := sink.Fanout{a, b}
	write(t, f, 4, 1000)
	var r flow.Record
	record(&r, 0, 0)
	if err := errors.Join(f.Write(&r), f.Flush(t.Context()), f.Close()); err != nil {
		t.Fatal(err)
	}
	for _, s := range f {
		check(t, s, sink.Stats{Written: 4001, Delivered: 4001})
	}
	if got := f.Names(); len(got) != 2 || got[0] != "discard:" || !strings.HasPrefix(got[1], "file:") {
		t.Errorf("names %v", got)
	}
	one := sink.Fanout{a}
	write(t, one, 1, 10)
	check(t, a, sink.Stats{Written: 4011, Delivered: 4011})
}

// What one sink cannot take, the others get.
func TestFanoutGoesOn(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	full, good := open(t, "file:/dev/full", sink.Config{}), open(t, "discard:", sink.Config{})
	f := sink.Fanout{full, good}
	h := f.Worker()
	var r flow.Record
	n, failed := 0, 0
	for ; failed < 3 && n < 100_000; n++ {
		record(&r, 0, n)
		if err := h.Write(&r); errors.Is(err, syscall.ENOSPC) {
			failed++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	record(&r, 0, n)
	if err := h.Write(&r); err != nil {
		t.Fatal(err)
	}
	if err := h.Flush(context.Background()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("flush: error %v, want no space left on device", err)
	}
	check(t, full, sink.Stats{Written: uint64(n) + 1, Refused: uint64(n) + 1})
	check(t, good, sink.Stats{Written: uint64(n) + 1, Delivered: uint64(n) + 1})
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
