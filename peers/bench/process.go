package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a child that is measured.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// start starts a child. What it prints goes to a file that errors quote.
func (b *bench) start(name string, env []string, binary string, args ...string) (*process, error) {
	b.seq++
	p := &process{name: name, log: filepath.Join(b.dir, fmt.Sprintf("%03d-%s.log", b.seq, name)), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(binary, args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Dir = b.dir
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// failed is the error of a child that ended when it should not have.
func (p *process) failed() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	text, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%s ended: %v\n%s", p.name, p.err, strings.Join(lines[max(0, len(lines)-5):], "\n"))
}

// stop ends a child and those that it started.
func (p *process) stop() {
	tree := p.tree()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	for _, pid := range tree[1:] {
		if parent, err := group(pid); err == nil && parent == tree[0] {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// group is the process group of a process: a child's own process id for all
// that it started.
func group(pid int) (int, error) { return syscall.Getpgid(pid) }

// tree lists a child and its living descendants.
func (p *process) tree() []int {
	pids := []int{p.cmd.Process.Pid}
	for i := 0; i < len(pids); i++ {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i]))
		for _, file := range tasks {
			text, _ := os.ReadFile(file)
			for _, word := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(word); err == nil {
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids
}

// usage is what a child and its descendants have used.
type usage struct {
	cpu       time.Duration // user and system, exact
	user, sys time.Duration // as the kernel divides it, in its ticks
	peak      int64         // largest resident memory, bytes
}

func (u usage) since(before usage) usage {
	return usage{cpu: u.cpu - before.cpu, user: u.user - before.user, sys: u.sys - before.sys, peak: u.peak}
}

// tick is the unit of times in /proc/PID/stat; Linux shows 100 a second on every
// architecture that Go runs on.
const tick = 10 * time.Millisecond

// usage reads what was used so far. Descendants that have ended count once their
// parent has waited for them.
func (p *process) usage() usage {
	var u usage
	for _, pid := range p.tree() {
		// The clock of another process, as clock_getcpuclockid(3) makes it.
		var ts unix.Timespec
		if unix.ClockGettime(int32(^pid<<3|2), &ts) == nil {
			u.cpu += time.Duration(ts.Nano())
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// The name stands in brackets and may hold anything.
		f := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(f) < 15 {
			continue
		}
		ticks := func(i int) time.Duration {
			n, _ := strconv.ParseInt(string(f[i]), 10, 64)
			return time.Duration(n) * tick
		}
		u.user += ticks(11) + ticks(13)
		u.sys += ticks(12) + ticks(14)
		u.cpu += ticks(13) + ticks(14)
		u.peak += status(pid, "VmHWM:")
	}
	return u
}

// status reads a size from /proc/PID/status, in bytes.
func status(pid int, key string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}

// resetPeak makes the kernel forget the largest resident memory so far.
func (p *process) resetPeak() {
	for _, pid := range p.tree() {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	}
}

// udpSockets is what the kernel says of the sockets bound to a port.
type udpSockets struct {
	count  int
	queued uint64 // bytes of datagrams that wait
	drops  uint64 // datagrams, since the sockets were opened
}

func readUDP(port int) udpSockets {
	var s udpSockets
	suffix := fmt.Sprintf(":%04X", port)
	for _, file := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 13 || !strings.HasSuffix(f[1], suffix) {
				continue
			}
			s.count++
			_, rx, _ := strings.Cut(f[4], ":")
			n, _ := strconv.ParseUint(rx, 16, 64)
			s.queued += n
			n, _ = strconv.ParseUint(f[12], 10, 64)
			s.drops += n
		}
	}
	return s
}

// freePort finds a port that neither TCP nor UDP uses on loopback.
func freePort() (int, error) {
	for range 100 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		l.Close()
		if err == nil {
			u.Close()
			return port, nil
		}
	}
	return 0, errors.New("no free port on loopback")
}

// await polls until a condition holds.
func await(ctx context.Context, p *process, limit time.Duration, what string, condition func() bool) error {
	deadline := time.Now().Add(limit)
	for !condition() {
		if err := p.failed(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %s: not within %s", p.name, what, limit)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
