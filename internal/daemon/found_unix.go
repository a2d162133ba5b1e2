//go:build unix

package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// BeFound puts a file named by the process's id into a directory of one's own and holds a lock on it, so that Terminate finds the
// process as long as it runs. Closing takes the file away.
func BeFound(dir string) (io.Closer, error) {
	if err := ownDir(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(os.Getpid())), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return found{f}, nil
}

type found struct{ f *os.File }

func (f found) Close() error { return errors.Join(os.Remove(f.f.Name()), f.f.Close()) }

// ownDir makes a directory, or sees that it is nobody else's.
func ownDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(s.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a directory that only this user can write to", dir)
	}
	return nil
}

// Terminate sends SIGTERM to every process that BeFound keeps in a directory, and returns their ids. A file whose process is
// gone is removed: nobody holds its lock, so no process that has its id since then is told anything.
func Terminate(dir string) (pids []int, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = ownDir(dir)
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid <= 1 {
			continue
		}
		path := filepath.Join(dir, e.Name())
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue // it is ending now
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.Remove(path)
		} else if err := syscall.Kill(pid, syscall.SIGTERM); err == nil {
			pids = append(pids, pid)
		}
		f.Close()
	}
	return pids, nil
}

// Detach starts this program once more, as argv0 with args, in a session of its own with its output at the end of a file, and
// does not wait for it.
func Detach(output, argv0 string, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(self)
	cmd.Args = append([]string{argv0}, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
