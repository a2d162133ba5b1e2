package sink_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/kafka"
	"github.com/tributary-net/tributary/internal/sink"
)

// openSpool opens a spool; close it before it is opened again.
func openSpool(t *testing.T, dir string, limit int64) *sink.Spool {
	t.Helper()
	s, err := sink.OpenSpool(dir, limit, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// numbered writes records of one worker, numbered from and up to to.
func numbered(t *testing.T, s sink.Sink, worker, from, to int) {
	t.Helper()
	h := s.Worker()
	var r flow.Record
	for n := from; n < to; n++ {
		record(&r, worker, n)
		if err := h.Write(&r); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSpoolAway: while Kafka is away, records wait on disk, more than memory may hold;
// when it comes, each of them arrives once, and in order within its partition.
func TestSpoolAway(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"protobuf", "json&compression.type=lz4", "packed", "protobuf&key=src_addr", "protobuf&acks=1"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			way := away{b: openBroker(t)}
			cfg := config()
			cfg.QueueBytes, cfg.Block, cfg.Kafka = 2<<20, time.Millisecond, kafka.ClientConfig{Dial: way.dial}
			cfg.Spool = openSpool(t, t.TempDir(), 256<<20)
			s := open(t, "kafka://192.0.2.1/flows?format="+format, cfg)
			stop := watch(t, s)
			write(t, s, 3, 30_000)
			eventually(t, "all is on disk", func() bool { return s.Stats().Spooled == 90_000 })
			check(t, s, sink.Stats{Written: 90_000, Spooled: 90_000})
			way.open.Store(true)
			eventually(t, "what waited is delivered", func() bool { return s.Stats().Delivered == 90_000 })
			write(t, s, 3, 0)
			numbered(t, s, 9, 0, 1000)
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(t, s, sink.Stats{Written: 91_000, Delivered: 91_000})
			stop()
			if used, _ := cfg.Spool.Used(); used != 0 {
				t.Errorf("%d octets of the spool are used", used)
			}
			if err := errors.Join(s.Close(), cfg.Spool.Close()); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(flows(t, way.b, "flows")); got != "map[0:30000 1:30000 2:30000 9:1000]" {
				t.Errorf("records by worker: %s", got)
			}
		})
	}
}

// TestSpoolRestart: a collector that stops while Kafka is away leaves nothing behind
// but its spool, and the next one goes on with it, several times.
func TestSpoolRestart(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "?key=src_addr"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			way := away{b: openBroker(t)}
			dir := t.TempDir()
			written := 0
			for round := range 5 {
				way.open.Store(round == 2 || round == 4)
				cfg := config()
				cfg.QueueBytes, cfg.Kafka, cfg.Spool = 4<<20, kafka.ClientConfig{Dial: way.dial}, openSpool(t, dir, 256<<20)
				s := open(t, "kafka://192.0.2.1/flows"+key, cfg)
				if st := s.Stats(); st.Written != st.Spooled+st.Delivered {
					t.Errorf("round %d begins with %+v", round, st)
				}
				numbered(t, s, 0, written, written+20_000)
				written += 20_000
				if way.open.Load() {
					eventually(t, "all is delivered", func() bool { st := s.Stats(); return st.Spooled == 0 && st.InFlight() == 0 })
				}
				if round == 3 {
					way.open.Store(true) // some of it may be under way when it stops
				}
				if err := errors.Join(s.Flush(t.Context()), s.Close(), cfg.Spool.Close()); err != nil {
					t.Fatal(err)
				}
				if st := s.Stats(); st.Dropped+st.Refused+st.InFlight() != 0 {
					t.Errorf("round %d ends with %+v", round, st)
				}
			}
			if got := fmt.Sprint(flows(t, way.b, "flows")); got != "map[0:100000]" {
				t.Errorf("records by worker: %s", got)
			}
		})
	}
}

// TestSpoolFull: when the spool is full records are dropped and counted, and what is
// in it arrives.
func TestSpoolFull(t *testing.T) {
	t.Parallel()
	way := away{b: openBroker(t)}
	cfg := config()
	cfg.QueueBytes, cfg.Block, cfg.Kafka = 1<<20, time.Millisecond, kafka.ClientConfig{Dial: way.dial}
	cfg.Spool = openSpool(t, t.TempDir(), 2<<20)
	s := open(t, "kafka://192.0.2.1/flows", cfg)
	stop := watch(t, s)
	write(t, s, 2, 50_000)
	eventually(t, "all is decided or on disk", func() bool { return s.Stats().InFlight() == 0 })
	st := s.Stats()
	if st.Dropped == 0 || st.Spooled == 0 || st.Dropped+st.Spooled != 100_000 {
		t.Errorf("account is %+v", st)
	}
	if used, limit := cfg.Spool.Used(); used > limit || used < limit/2 {
		t.Errorf("%d of %d octets are used", used, limit)
	}
	way.open.Store(true)
	eventually(t, "the rest is delivered", func() bool { return s.Stats().Delivered == st.Spooled })
	numbered(t, s, 9, 0, 1000) // there is room again
	if err := errors.Join(s.Flush(t.Context()), s.Close(), cfg.Spool.Close()); err != nil {
		t.Fatal(err)
	}
	stop()
	got := flows(t, way.b, "flows")
	if got[9] != 1000 || uint64(got[0]+got[1]) != st.Spooled {
		t.Errorf("records by worker %v, want %d and 1000 of worker 9", got, st.Spooled)
	}
}

// TestSpoolPoison: what Kafka will never take is passed over and counted; the rest of
// the batch arrives.
func TestSpoolPoison(t *testing.T) {
	t.Parallel()
	way := away{b: openBroker(t)}
	cfg := config()
	cfg.Partitions, cfg.Topics = 1, map[string]string{"max.message.bytes": "20000"}
	cfg.Kafka, cfg.Spool = kafka.ClientConfig{Dial: way.dial}, openSpool(t, t.TempDir(), 64<<20)
	s := open(t, "kafka://192.0.2.1/small", cfg)
	h := s.Worker()
	var r flow.Record
	for n := range 3000 {
		record(&r, 0, n)
		if n%1000 == 500 {
			r.AppendElement(9, 1, make([]byte, 30_000))
		}
		if err := h.Write(&r); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is on disk", func() bool { return s.Stats().Spooled == 3000 })
	way.open.Store(true)
	eventually(t, "all is decided", func() bool { return s.Stats().Spooled == 0 })
	if err := errors.Join(h.Close(), s.Flush(t.Context()), s.Close(), cfg.Spool.Close()); err != nil {
		t.Fatal(err)
	}
	check(t, s, sink.Stats{Written: 3000, Delivered: 2997, Refused: 3})
	if got := fmt.Sprint(flows(t, way.b, "small")); got != "map[0:2997]" {
		t.Errorf("records by worker: %s", got)
	}
}

// TestSpoolLocked: one process at a time.
func TestSpoolLocked(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir, 1<<24)
	if _, err := sink.OpenSpool(dir, 1<<24, nil); err == nil || !strings.Contains(err.Error(), "another process uses the spool") {
		t.Errorf("a second one: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openSpool(t, dir, 1<<24).Close(); err != nil {
		t.Error(err)
	}
}

// TestSpoolAwayAgain: Kafka is away again and again, and the queue has room for a few batches
// only. What waits in memory for Kafka never keeps new records from the disk.
func TestSpoolAwayAgain(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"protobuf", "protobuf&key=src_addr", "packed&compression.type=lz4"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			way := away{b: openBroker(t)}
			cfg := config()
			cfg.QueueBytes, cfg.Block, cfg.Kafka = 1<<20, time.Hour, kafka.ClientConfig{Dial: way.dial}
			cfg.Spool = openSpool(t, t.TempDir(), 256<<20)
			s := open(t, "kafka://192.0.2.1/flows?format="+format, cfg)
			stop := watch(t, s)
			const batch = 20_000
			for round := range 3 {
				numbered(t, s, 0, 2*round*batch, (2*round+1)*batch)
				way.open.Store(true)
				eventually(t, "all is delivered", func() bool { return s.Stats().Delivered == uint64(2*round+1)*batch })
				way.shut()
				numbered(t, s, 0, (2*round+1)*batch, (2*round+2)*batch)
				eventually(t, "all is on disk or there", func() bool { st := s.Stats(); return st.Spooled+st.Delivered == uint64(2*round+2)*batch })
				way.open.Store(true)
				eventually(t, "all is delivered", func() bool { return s.Stats().Delivered == uint64(2*round+2)*batch })
				way.shut()
			}
			check(t, s, sink.Stats{Written: 6 * batch, Delivered: 6 * batch})
			stop()
			if err := errors.Join(s.Close(), cfg.Spool.Close()); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(flows(t, way.b, "flows")); got != fmt.Sprintf("map[0:%d]", 6*batch) {
				t.Errorf("records by worker: %s", got)
			}
		})
	}
}

// TestSpoolDiskFull: the disk is full long before the spool is. What has no room is dropped
// and counted; once Kafka has the rest, there is room again, and records go on.
func TestSpoolDiskFull(t *testing.T) {
	t.Parallel()
	for _, properties := range []string{"", "&key=src_addr"} {
		t.Run("to"+properties, func(t *testing.T) {
			t.Parallel()
			way := away{b: openBroker(t)}
			dir := t.TempDir()
			cfg := config()
			cfg.Block, cfg.Kafka = time.Millisecond, kafka.ClientConfig{Dial: way.dial}
			cfg.Spool = openSpool(t, dir, 1<<30)
			size := func() (n int64) {
				_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, _ error) error { // what goes meanwhile is not there
					if e != nil && e.Type().IsRegular() {
						if info, err := e.Info(); err == nil {
							n += info.Size()
						}
					}
					return nil
				})
				return n
			}
			const capacity = 3 << 20
			cfg.Spool.SetFree(func() int64 { return sink.SpoolReserve + capacity - size() })
			s := open(t, "kafka://192.0.2.1/flows?format=protobuf"+properties, cfg)
			stop := watch(t, s)
			next := 0
			some := func() { numbered(t, s, 0, next, next+1000); next += 1000 }
			eventually(t, "the disk is full", func() bool { some(); return s.Stats().Dropped > 0 })
			if n := size(); n > capacity+1<<20 {
				t.Errorf("%d octets are on a disk of %d", n, capacity)
			}
			way.open.Store(true)
			eventually(t, "what waited is delivered", func() bool { st := s.Stats(); return st.Spooled+st.InFlight() == 0 })
			eventually(t, "there is room again", func() bool { return size() < capacity/2 })
			dropped := s.Stats().Dropped
			for range 20 {
				some()
			}
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(t, s, sink.Stats{Written: uint64(next), Delivered: uint64(next) - dropped, Dropped: dropped})
			stop()
			if err := errors.Join(s.Close(), cfg.Spool.Close()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestSpoolInside: no spool lies among the logs of another one.
func TestSpoolInside(t *testing.T) {
	dir := t.TempDir()
	cfg := config()
	cfg.Spool = openSpool(t, dir, 1<<24)
	s := open(t, "kafka://127.0.0.1:1/flows", cfg)
	folders, err := filepath.Glob(filepath.Join(dir, "flows-*"))
	if err != nil || len(folders) != 1 {
		t.Fatal(folders, err)
	}
	for _, inside := range []string{folders[0], filepath.Join(folders[0], "a", "b")} {
		if _, err := sink.OpenSpool(inside, 1<<24, nil); err == nil || !strings.HasPrefix(err.Error(), folders[0]+" has what waits for one destination") {
			t.Errorf("%s: %v", inside, err)
		}
	}
	if err := errors.Join(s.Close(), cfg.Spool.Close(), openSpool(t, filepath.Join(dir, "beside"), 1<<24).Close()); err != nil {
		t.Error(err)
	}
}

// spoolChild is the environment variable that makes the test binary a collector to be
// killed: broker, folder, and number to begin with.
const spoolChild = "TRIBUTARY_TEST_SPOOL_CHILD"

// TestSpoolKilled: a process is killed again and again while it spools and delivers.
// Everything that it says is on disk arrives, and nothing arrives twice.
func TestSpoolKilled(t *testing.T) {
	if args := os.Getenv(spoolChild); args != "" {
		runSpoolChild(t, strings.Split(args, " "))
		return
	}
	t.Parallel()
	for _, key := range []string{"", "?key=src_addr"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			b := openBroker(t)
			dir := t.TempDir()
			safe := map[int]int{} // worker: records known to be on disk
			for round := range 8 {
				// In some rounds Kafka is away.
				to := b.Addr().String()
				if round%3 == 1 {
					to = "127.0.0.1:1"
				}
				cmd := exec.Command(os.Args[0], "-test.run=^TestSpoolKilled$")
				cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d %s", spoolChild, to, dir, round, key))
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				cmd.Stderr = os.Stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				at := 3 + rand.IntN(40) // lines
				lines := bufio.NewScanner(out)
				for i := 0; i < at && lines.Scan(); i++ {
					if n, err := strconv.Atoi(lines.Text()); err == nil {
						safe[round] = n
					}
				}
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
				for lines.Scan() { // what it said before it was killed
					if n, err := strconv.Atoi(lines.Text()); err == nil {
						safe[round] = n
					}
				}
				_ = cmd.Wait()
				if safe[round] == 0 {
					t.Fatalf("round %d wrote nothing", round)
				}
			}
			cfg := config()
			cfg.Spool = openSpool(t, dir, 1<<30)
			cfg.Kafka = kafka.ClientConfig{Dial: dialTo(b.Addr().String())}
			s := open(t, "kafka://k/flows"+key, cfg)
			eventually(t, "all is delivered", func() bool { st := s.Stats(); return st.Spooled == 0 && st.InFlight() == 0 })
			if err := errors.Join(s.Flush(t.Context()), s.Close(), cfg.Spool.Close()); err != nil {
				t.Fatal(err)
			}
			got := flows(t, b, "flows")
			for w, n := range safe {
				if got[w] < n {
					t.Errorf("process %d: %d records arrived, %d were on disk", w, got[w], n)
				}
			}
		})
	}
}

// dialTo reaches one address, whatever the cluster is called: a spool's folder goes
// by that name.
func dialTo(address string) kafka.DialFunc {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}
}

// runSpoolChild writes records until it is killed, and prints how many of them are on disk
// or further.
func runSpoolChild(t *testing.T, args []string) {
	cfg := config()
	cfg.Kafka, cfg.Spool = kafka.ClientConfig{Dial: dialTo(args[0])}, openSpool(t, args[1], 1<<30)
	worker, err := strconv.Atoi(args[2])
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, "kafka://k/flows"+args[3], cfg)
	found := s.Stats().Written
	h := s.Worker()
	var r flow.Record
	for n := 0; ; n++ {
		record(&r, worker, n)
		if err := h.Write(&r); err != nil {
			t.Fatal(err)
		}
		if n%500 == 499 {
			time.Sleep(time.Millisecond)
			st := s.Stats()
			// One worker: what is on disk of its records is the first of them, but
			// with keys their batches end at different ones.
			if safe := int(st.Spooled+st.Delivered) - int(found); safe > 0 && args[3] == "" {
				fmt.Println(safe)
			} else if safe > 0 {
				fmt.Println(1)
			}
		}
	}
}
