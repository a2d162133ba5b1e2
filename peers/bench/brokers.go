package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// brokerProcess is a broker that runs, and a client to administer it.
type brokerProcess struct {
	name    string
	label   string // of its logs
	address string
	command []string
	process *process
	started time.Duration // from its start until it answered
	client  *kgo.Client
	admin   *kadm.Client
	data    string
	topics  int
}

// startOwn starts our broker with new data below a folder.
func (b *bench) startOwn(ctx context.Context, below, durability string) (*brokerProcess, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	data, err := os.MkdirTemp(below, "tributary-bench-")
	if err != nil {
		return nil, err
	}
	k := &brokerProcess{
		name: "tributary, " + durability, address: address(port), data: data, label: "broker",
		command: []string{
			b.tributary, "broker", "--listen", address(port), "--data", data, "--durability", durability,
			"--http", "off", "--log-level", "warn", "--file-delete-delay", "100ms",
		},
	}
	return k, k.start(ctx, b)
}

// startApache starts Apache Kafka with new data below a folder, one node with its own
// defaults for flushing: none. Its garbage collector is the one it is shipped with.
func (b *bench) startApache(ctx context.Context, below, libs string) (*brokerProcess, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	controller, err := freePort()
	if err != nil {
		return nil, err
	}
	data, err := os.MkdirTemp(below, "tributary-bench-")
	if err != nil {
		return nil, err
	}
	properties := filepath.Join(b.dir, filepath.Base(data)+".properties")
	logging := filepath.Join(b.dir, "log4j2.properties")
	err = errors.Join(
		os.WriteFile(logging, []byte("status = error\nappender.c.type = Console\nappender.c.name = c\nappender.c.layout.type = PatternLayout\n"+
			"appender.c.layout.pattern = %d %p %m%n\nrootLogger.level = warn\nrootLogger.appenderRef.c.ref = c\n"), 0o600),
		os.WriteFile(properties, fmt.Appendf(nil, `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=%[3]s/log
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
log.cleaner.dedupe.buffer.size=16777216
log.segment.delete.delay.ms=100
`, address(port), address(controller), data), 0o600))
	if err != nil {
		return nil, err
	}
	java := func(args ...string) []string {
		return append([]string{"-Xms256m", "-Xmx512m", "-XX:+UseG1GC", "-Dlog4j2.configurationFile=" + logging, "-cp", libs + "/*"}, args...)
	}
	id, err := exec.CommandContext(ctx, "java", java("kafka.tools.StorageTool", "random-uuid")...).Output()
	if err != nil {
		return nil, fmt.Errorf("kafka.tools.StorageTool random-uuid: %w", err)
	}
	if out, err := exec.CommandContext(ctx, "java", java("kafka.tools.StorageTool", "format", "-t", string(bytes.TrimSpace(id)), "-c", properties)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("kafka.tools.StorageTool format: %w\n%s", err, out)
	}
	k := &brokerProcess{
		name: "Apache Kafka", address: address(port), data: data, label: "kafka",
		command: append([]string{"java"}, java("kafka.Kafka", properties)...),
	}
	return k, k.start(ctx, b)
}

// start starts the broker, on the data that is there, and waits until it answers.
func (k *brokerProcess) start(ctx context.Context, b *bench) (err error) {
	began := time.Now()
	if k.process, err = b.start(k.label, nil, k.command[0], k.command[1:]...); err != nil {
		_ = os.RemoveAll(k.data)
		return err
	}
	if err = k.answers(ctx, 2*time.Minute); err == nil {
		k.started = time.Since(began)
		k.client, err = kgo.NewClient(kgo.SeedBrokers(k.address))
	}
	if err != nil {
		k.close()
		return err
	}
	k.admin = kadm.NewClient(k.client)
	return nil
}

// answers waits until the broker answers a request, whichever.
func (k *brokerProcess) answers(ctx context.Context, limit time.Duration) error {
	request := kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), 1)
	for deadline := time.Now().Add(limit); ; {
		if c, err := net.Dial("tcp", k.address); err == nil {
			_ = c.SetDeadline(deadline)
			if _, err = c.Write(request); err == nil {
				_, err = io.ReadFull(c, make([]byte, 8))
			}
			c.Close()
			if err == nil {
				return nil
			}
		}
		if err := k.process.failed(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not answer within %s", k.name, limit)
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// stop ends the broker in order, or kills it; its data stays.
func (k *brokerProcess) stop(kill bool) {
	if k.client != nil {
		k.client.Close()
		k.client, k.admin = nil, nil
	}
	if kill {
		_ = k.process.cmd.Process.Kill()
		<-k.process.done
		return
	}
	k.process.stop()
}

func (k *brokerProcess) close() {
	k.stop(false)
	_ = os.RemoveAll(k.data)
}

func (k *brokerProcess) newTopic(ctx context.Context, partitions int32, configs map[string]*string) (string, error) {
	k.topics++
	topic := fmt.Sprintf("bench-%d", k.topics)
	for attempt := 0; ; attempt++ {
		resp, err := k.admin.CreateTopic(ctx, partitions, 1, configs, topic)
		if err == nil {
			err = resp.Err
		}
		if err == nil {
			return topic, nil
		}
		// A node that has just started may not know itself yet.
		if attempt == 20 {
			return "", fmt.Errorf("create topic on %s: %w", k.name, err)
		}
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return "", err
		}
	}
}

// deleteTopic deletes a topic and waits until its memory is free, for the next
// one to use.
func (k *brokerProcess) deleteTopic(topic string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := k.admin.DeleteTopic(ctx, topic); err != nil {
		return
	}
	_ = await(ctx, k.process, 5*time.Second, "delete a topic", func() bool { return diskUse(k.data) < 64<<20 })
}

// diskUse is how much the files below a folder take up.
func diskUse(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil && unix.Lstat(path, &st) == nil {
			n += st.Blocks * 512
		}
		return nil
	})
	return n
}

// touch writes a file of so many bytes and deletes it, and returns the CPU time
// that the kernel took for it. A virtual machine gets memory from its host only
// when it touches it first, which costs many times what writing to it does: who
// came first would pay for all. And it tells what no broker can save.
func touch(dir string, size int64) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "tributary-bench-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 1_000_000)
	var before, after unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &before)
	for n := int64(0); n < size; n += int64(len(block)) {
		if _, err := f.Write(block); err != nil {
			return 0, fmt.Errorf("%s has no room: %w", dir, err)
		}
	}
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &after)
	return time.Duration(after.Utime.Nano() - before.Utime.Nano() + after.Stime.Nano() - before.Stime.Nano()), nil
}

// readTwice reads files twice: at the first two times the kernel moves each page among those that
// are used often, which whoever read first would pay for.
func readTwice(pattern string) error {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for range 2 {
		for _, name := range files {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			_, err = io.Copy(struct{ io.Writer }{io.Discard}, f) // not by the kernel alone, which would read nothing
			f.Close()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// records is how many records a topic holds.
func (k *brokerProcess) records(ctx context.Context, topic string) (int64, error) {
	ends, err := k.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("end offsets of %s: %w", topic, err)
	}
	var n int64
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n, nil
}

// messages counts the protobuf messages in a topic, each preceded by its length, however
// many a record has.
func (k *brokerProcess) messages(ctx context.Context, topic string) (int64, error) {
	records, err := k.records(ctx, topic)
	if err != nil || records == 0 {
		return 0, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(k.address), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var n int64
	for records > 0 {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return 0, fmt.Errorf("read %s: %w", topic, err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			records--
			for b := r.Value; len(b) > 0; n++ {
				size, l := binary.Uvarint(b)
				if l <= 0 || size > uint64(len(b)-l) {
					err = fmt.Errorf("record at offset %d of partition %d of %s is no sequence of messages", r.Offset, r.Partition, topic)
					return
				}
				b = b[l+int(size):]
			}
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// shape is what is produced.
type shape struct {
	name       string
	record     int   // bytes of a value
	batch      int32 // largest batch, bytes
	partitions int32
	java       bool // by Apache Kafka's own tools, else by franz-go
	share      float64
}

// path is its name among those that can be asked for.
func (s *shape) path() string { return "broker " + strings.ReplaceAll(s.name, " ", "") }

var shapes = []shape{
	{"1 KB records in 1 MB batches", 1000, 1_000_000, 6, false, 1},
	{"1 KB records in 16 KB batches", 1000, 16 << 10, 6, false, 0.6},
	{"100 B records in 1 MB batches", 100, 1_000_000, 6, false, 0.4},
	{"100 B records in 16 KB batches", 100, 16 << 10, 6, false, 0.4},
	{"1 KB records in 1 MB batches to one partition", 1000, 1_000_000, 1, false, 1},
	{"100 B records in 16 KB batches to one partition", 100, 16 << 10, 1, false, 0.4},
	{"1 KB records in 1 MB batches by Java", 1000, 1_000_000, 6, true, 1},
	{"1 KB records in 16 KB batches by Java", 1000, 16 << 10, 6, true, 0.6},
	{"100 B records in 16 KB batches by Java to one partition", 100, 16 << 10, 1, true, 0.4},
}

// The bars for brokers.
const (
	brokerRatio    = 4    // times Kafka's work for a CPU second, producing
	consumeRatio   = 1.25 // times a bare sendfile loop's CPU time, consuming
	brokerResident = 64e6
)

// brokerResult is what producing and consuming came to.
type brokerResult struct {
	records          int64
	bytes            float64 // of their values
	produce, consume usage
	floor, unpaced   usage         // of a bare server of the same files
	took             time.Duration // of producing
}

// brokers compares our broker with Apache Kafka.
func (b *bench) brokers(ctx context.Context) error {
	paths := []string{latencyPath, startPath, recoveryPath, residentPath}
	for _, s := range shapes {
		paths = append(paths, s.path())
	}
	if !slices.ContainsFunc(paths, b.wanted) {
		return nil
	}
	libs, err := kafkaLibs(ctx)
	if err != nil {
		fmt.Printf("Apache Kafka is left out: %v\n", err)
	}
	if err := b.throughput(ctx, libs); err != nil {
		return err
	}
	if err := b.latency(ctx, libs); err != nil {
		return err
	}
	return b.starts(ctx, libs)
}

// throughput compares what producing and consuming cost, data in memory.
func (b *bench) throughput(ctx context.Context, libs string) error {
	var wanted []shape
	for i, s := range shapes {
		if s.java && libs == "" {
			continue
		}
		if b.wanted(s.path()) && (!b.quick || i < 2 || len(b.only) > 0) {
			wanted = append(wanted, s)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	var peers []*brokerProcess
	defer func() {
		for _, k := range peers {
			k.close()
		}
	}()
	for _, durability := range []string{"fsync", "page-cache"} {
		k, err := b.startOwn(ctx, b.data, durability)
		if err != nil {
			return err
		}
		peers = append(peers, k)
	}
	if libs != "" {
		k, err := b.startApache(ctx, b.data, libs)
		if err != nil {
			return err
		}
		peers = append(peers, k)
	}
	if _, err := touch(b.data, int64(3*b.gigabytes*1e9)); err != nil {
		return err
	}
	// The compiler of a virtual machine wants to have seen its work.
	for _, k := range peers {
		for _, s := range wanted {
			if _, err := b.produceAndConsume(ctx, k, libs, s, 0.2e9, false); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
	}
	peak := make([][]float64, len(peers))
	for _, s := range wanted {
		results := make([][]brokerResult, len(peers))
		var bare, stored []float64
		for round := range b.rounds {
			size := b.gigabytes * s.share * 1e9
			for turn := range peers {
				// Memory that was free for a while is the host's again: everybody has it touched before, and each is first in its turn.
				cpu, err := touch(b.data, int64(size))
				if err != nil {
					return err
				}
				bare = append(bare, cpu.Seconds()/size*1e9)
				u, err := b.storeBare(ctx, &s, int64(size))
				if err != nil {
					return err
				}
				stored = append(stored, u.cpu.Seconds()/size*1e9)
				i := (round + turn) % len(peers)
				k := peers[i]
				r, err := b.produceAndConsume(ctx, k, libs, s, size, k.own())
				if err != nil {
					return fmt.Errorf("%s to %s: %w", s.name, k.name, err)
				}
				results[i] = append(results[i], r)
				peak[i] = append(peak[i], float64(max(r.produce.peak, r.consume.peak)))
			}
		}
		b.reportBroker(s, peers, results, spreadOf(bare), spreadOf(stored))
	}
	for i, k := range peers {
		if k.own() {
			b.bars = append(b.bars, bar{k.name + ": peak MB resident", spreadOf(peak[i]).max / 1e6, brokerResident / 1e6, true})
		}
	}
	return nil
}

// kafkaLibs finds the folder with Apache Kafka's jars, and fetches them if need be.
func kafkaLibs(ctx context.Context) (string, error) {
	if dir := os.Getenv("KAFKA_LIBS"); dir != "" {
		return dir, nil
	}
	if _, err := exec.LookPath("java"); err != nil {
		return "", errors.New("java is not installed")
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tributary-net/tributary").Output()
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(strings.TrimSpace(string(root)), "scripts", "kafka.sh"), "libs")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("scripts/kafka.sh libs: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// produceAndConsume writes so many bytes to a new topic and reads them back; with floor
// from a bare server of the same files, too. What Java does it does with these libraries.
func (b *bench) produceAndConsume(ctx context.Context, k *brokerProcess, libs string, s shape, size float64, floor bool) (res brokerResult, err error) {
	topic, err := k.newTopic(ctx, s.partitions, nil)
	if err != nil {
		return res, err
	}
	defer k.deleteTopic(topic)
	k.process.resetPeak()
	if s.java {
		res, err = k.produceByJava(ctx, libs, topic, s, size)
	} else {
		res, err = k.produce(ctx, topic, s, size)
	}
	if err != nil {
		return res, err
	}
	files := filepath.Join(k.data, topic+"-*", "*.log")
	if err := readTwice(files); err != nil {
		return res, err
	}
	if s.java {
		res.consume, err = k.consumeByJava(ctx, libs, topic, res.records)
	} else {
		res.consume, err = k.consume(ctx, topic, res.records)
	}
	if err != nil {
		return res, err
	}
	if floor {
		if res.floor, err = b.sendFiles(ctx, files, false); err != nil {
			return res, err
		}
		if res.unpaced, err = b.sendFiles(ctx, files, true); err != nil {
			return res, err
		}
	}
	return res, k.process.failed()
}

// produce writes so many bytes to a topic.
func (k *brokerProcess) produce(ctx context.Context, topic string, s shape, size float64) (res brokerResult, err error) {
	producer, err := kgo.NewClient(kgo.SeedBrokers(k.address), kgo.DefaultProduceTopic(topic), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(s.batch), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.MaxBufferedRecords(1<<20), kgo.MaxBufferedBytes(64<<20))
	if err != nil {
		return res, err
	}
	defer producer.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	value := make([]byte, s.record)
	for i := range value {
		value[i] = byte(rng.Uint32())
	}
	n := int64(size) / int64(s.record)
	var acked, refused atomic.Int64
	var first atomic.Pointer[error]
	pool := sync.Pool{New: func() any { return new(kgo.Record) }}
	promise := func(r *kgo.Record, err error) {
		*r = kgo.Record{}
		pool.Put(r)
		if err != nil {
			refused.Add(1)
			first.CompareAndSwap(nil, &err)
			return
		}
		acked.Add(1)
	}
	before := k.process.usage()
	began := time.Now()
	for range n {
		r := pool.Get().(*kgo.Record)
		r.Value = value
		producer.Produce(ctx, r, promise)
	}
	if err := producer.Flush(ctx); err != nil {
		return res, err
	}
	res.took = time.Since(began)
	if refused.Load() > 0 {
		return res, fmt.Errorf("%d of %d records refused: %w", refused.Load(), n, *first.Load())
	}
	res.produce = k.process.usage().since(before)
	res.records = acked.Load()
	res.bytes = float64(res.records) * float64(s.record)
	return res, nil
}

// What a fetch asks for at most.
const (
	fetchBytes          = 16 << 20
	fetchPartitionBytes = 1 << 20
)

// consume reads so many records from a topic's beginning.
func (k *brokerProcess) consume(ctx context.Context, topic string, records int64) (usage, error) {
	consumer, err := kgo.NewClient(kgo.SeedBrokers(k.address), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchPartitionBytes))
	if err != nil {
		return usage{}, err
	}
	defer consumer.Close()
	before := k.process.usage()
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for seen := int64(0); seen < records; {
		f := consumer.PollFetches(limited)
		if err := f.Err(); err != nil {
			return usage{}, fmt.Errorf("consume, %d of %d records seen: %w", seen, records, err)
		}
		seen += int64(f.NumRecords())
	}
	return k.process.usage().since(before), nil
}

// reportBroker prints what came of a shape.
func (b *bench) reportBroker(s shape, peers []*brokerProcess, results [][]brokerResult, bare, stored spread) {
	fmt.Printf("\nBrokers: %s, acks=all, partitions: %d, data in memory\n", s.name, s.partitions)
	t := newTable()
	fmt.Fprintln(t, "  \tproduce, CPU s per GB\tconsume, CPU s per GB\tpeak MB\tproduce, times Kafka's work per CPU s\tconsume")
	produce, consume := make([][]float64, len(peers)), make([][]float64, len(peers))
	for i, rs := range results {
		for _, r := range rs {
			produce[i] = append(produce[i], r.produce.cpu.Seconds()/r.bytes*1e9)
			consume[i] = append(consume[i], r.consume.cpu.Seconds()/r.bytes*1e9)
		}
	}
	var floors, unpaced []float64
	last := len(peers) - 1
	apache := !peers[last].own()
	for i, k := range peers {
		var floor []float64
		for _, r := range results[i] {
			floor = append(floor, r.floor.cpu.Seconds()/r.bytes*1e9)
			if k.own() {
				unpaced = append(unpaced, r.unpaced.cpu.Seconds()/r.bytes*1e9)
			}
		}
		if k.own() {
			b.bars = append(b.bars, bar{s.name + ", " + k.name + ": consumed, CPU time by that of a bare sendfile loop", over(consume[i], floor).median, consumeRatio, true})
			floors = append(floors, floor...)
		}
		var peak []float64
		for _, r := range results[i] {
			peak = append(peak, float64(max(r.produce.peak, r.consume.peak))/1e6)
		}
		more, read := "", ""
		if apache && i < last {
			p, c := over(produce[last], produce[i]), over(consume[last], consume[i])
			more, read = p.String(), c.String()
			b.bars = append(b.bars, bar{s.name + ", " + k.name + ": produced per CPU second, times Apache Kafka's", p.median, brokerRatio, false})
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%.0f\t%s\t%s\n", k.name, spreadOf(produce[i]), spreadOf(consume[i]), spreadOf(peak).max, more, read)
	}
	fmt.Fprintf(t, "  writing a file; sendfile\t%s\t%s\n", bare, spreadOf(floors))
	fmt.Fprintf(t, "  receiving, CRC and writing, nothing else\t%s\n", stored)
	fmt.Fprintf(t, "  sendfile, not paced\t\t%s\n", spreadOf(unpaced))
	t.Flush()
}

// own tells our broker.
func (k *brokerProcess) own() bool { return k.label == "broker" }
