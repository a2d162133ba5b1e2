package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

// options say how much is measured.
type options struct {
	rounds    int
	seconds   float64
	only      []string
	quick     bool
	check     bool
	tributary string
	goflow2   string
	nfacctd   string
	kflow     string
	gigabytes float64
	data      string
	disk      string
	requests  float64
	log       float64
	tail      float64
}

func main() {
	part := run
	if len(os.Args) == 3 {
		switch arg := os.Args[2]; os.Args[1] {
		case floorCommand:
			part = func() error { return runFloor(arg) }
		case sendfileCommand:
			part = func() error { return serveFiles(arg) }
		case storeCommand:
			part = func() error { return storeAll(arg) }
		}
	}
	if err := part(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	var o options
	fs := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	fs.IntVar(&o.rounds, "rounds", 3, "rounds, in each of which every peer has its turn")
	fs.Float64Var(&o.seconds, "seconds", 2, "how long a turn sends")
	fs.StringSliceVar(&o.only, "only", nil, "only paths whose name contains one of these, such as json,kafka,rate,1KB")
	fs.BoolVar(&o.quick, "quick", false, "one round of one second, and the most important paths only")
	fs.BoolVar(&o.check, "check", false, "exit with status 1 when a bar is missed")
	fs.StringVar(&o.tributary, "tributary", "", "binary to measure (default: built from this checkout)")
	fs.StringVar(&o.goflow2, "goflow2", "", "goflow2 binary (default: built from the version in go.mod)")
	fs.StringVar(&o.nfacctd, "nfacctd", "nfacctd", "nfacctd binary")
	fs.StringVar(&o.kflow, "kflow", "", "KFlow's jar, or the folder of jars of a distribution (default: KFlow is left out)")
	fs.Float64Var(&o.gigabytes, "gigabytes", 0.5, "how much a turn produces to a broker, in 10^9 bytes")
	fs.StringVar(&o.data, "data", "/dev/shm", "where brokers and spools keep their data: a file system in memory")
	fs.StringVar(&o.disk, "disk", os.TempDir(), "where brokers keep it while their latency and their start are measured: a file system on a disk")
	fs.Float64Var(&o.requests, "latency-seconds", 10, "how long a turn sends single records")
	fs.Float64Var(&o.log, "log-gigabytes", 2, "how much a broker holds that is started, in 10^9 bytes; its resident memory is measured with it")
	fs.Float64Var(&o.tail, "tail-gigabytes", 1, "how much a broker has written to one partition that is killed, in 10^9 bytes")
	fs.Usage = func() {
		fmt.Fprintf(os.Stderr, "Usage: go run ./bench [collectors|brokers] [flags]\n\n%s", fs.FlagUsages())
	}
	if err := fs.Parse(os.Args[1:]); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil
		}
		return err
	}
	parts := fs.Args()
	for _, p := range parts {
		if p != "collectors" && p != "brokers" {
			return fmt.Errorf("unknown comparison %q; allowed are collectors and brokers", p)
		}
	}
	if o.quick {
		o.rounds, o.seconds = 1, 1
		o.gigabytes = min(o.gigabytes, 0.3)
		o.requests, o.log, o.tail = min(o.requests, 3), min(o.log, 0.5), min(o.tail, 0.5)
	}
	if o.rounds < 1 || o.rounds > 100 || o.seconds < 0.2 || o.seconds > 120 || o.gigabytes < 0.01 || o.gigabytes > 4 {
		return errors.New("allowed are 1 to 100 rounds of 0.2 to 120 seconds, and 0.01 to 4 gigabytes")
	}
	if o.requests < 1 || o.requests > 600 || o.log < 0.1 || o.log > 100 || o.tail < 0.1 || o.tail > 1 {
		return errors.New("allowed are 1 to 600 seconds of single records, a log of 0.1 to 100 gigabytes and a tail of 0.1 to 1")
	}

	// The kernel ends a child when the thread that started it ends. This
	// goroutine starts them all, and keeps its thread.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	dir, err := os.MkdirTemp("", "tributary-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := o.build(ctx, dir); err != nil {
		return err
	}
	fmt.Printf("%s, %s, %d CPUs, Linux %s, %d rounds\n", runtime.Version(), runtime.GOARCH, runtime.NumCPU(), kernel(), o.rounds)
	began := time.Now()
	b := &bench{options: o, dir: dir}
	if len(parts) == 0 || slices.Contains(parts, "collectors") {
		if err := b.collectors(ctx); err != nil {
			return err
		}
	}
	if len(parts) == 0 || slices.Contains(parts, "brokers") {
		if err := b.brokers(ctx); err != nil {
			return err
		}
	}
	b.verdict()
	fmt.Printf("\ntook %s\n", time.Since(began).Round(time.Second))
	if o.check && b.missed() {
		return errors.New("a bar is missed")
	}
	return nil
}

// bench is one run of the program.
type bench struct {
	options
	dir  string // for logs, configurations and binaries
	seq  int    // of children, names their logs
	bars []bar
}

// wanted reports whether a path is among those asked for.
func (b *bench) wanted(name string) bool {
	return len(b.only) == 0 || slices.ContainsFunc(b.only, func(s string) bool {
		return strings.Contains(strings.ToLower(name), strings.ToLower(s))
	})
}

// build makes the binaries that were not named.
func (o *options) build(ctx context.Context, dir string) error {
	for _, t := range []struct {
		binary *string
		pkg    string
		module string // folder of the module whose dependencies count
	}{
		{&o.tributary, "github.com/tributary-net/tributary/cmd/tributary", ".."},
		{&o.goflow2, "github.com/netsampler/goflow2/v2/cmd/goflow2", "."},
	} {
		if *t.binary != "" {
			continue
		}
		*t.binary = filepath.Join(dir, filepath.Base(t.pkg))
		build := exec.CommandContext(ctx, "go", "build", "-o", *t.binary, t.pkg)
		build.Dir = t.module
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", t.pkg, err, out)
		}
	}
	return nil
}

// kernel is the version of the kernel, without what its packager calls it.
func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "?"
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(text)), "-")
	return version
}
