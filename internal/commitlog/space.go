package commitlog

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
)

// spacer is a file system that knows how much room there is. That of [OSFS] does on Linux, macOS and FreeBSD.
type spacer interface {
	// Space is how many bytes can still be written, and how many there are in all.
	Space(name string) (free, total int64, err error)
}

// roomLease is how many bytes are appended before the file system is asked again, at most; less where there is little left.
// Others write to it too.
const roomLease = 16 << 20

// room keeps appends from filling the disk, so that what has to be written even then, transaction markers and committed
// offsets, still can.
type room struct {
	left atomic.Int64 // of the lease

	mu   sync.Mutex
	full bool
}

// Space is how many bytes the file system of the directory can still take, and how many it has; -1 where it does not
// say.
func (d *Dir) Space() (free, total int64) {
	if s, ok := d.fs.(spacer); ok {
		if free, total, err := s.Space(d.cfg.Path); err == nil {
			return free, total
		}
	}
	return -1, -1
}

// roomLeft is how much may be written before the reserve or the budget is touched.
func (d *Dir) roomLeft() int64 {
	left := int64(math.MaxInt64)
	if free, _ := d.Space(); free >= 0 {
		left = free - d.cfg.DiskReserve
	}
	if d.cfg.DiskBudget > 0 {
		used := int64(0)
		for _, l := range d.Logs() {
			used += l.Size()
		}
		left = min(left, d.cfg.DiskBudget-used)
	}
	return left
}

// admit takes room for an append, or refuses it.
func (d *Dir) admit(n int64) error {
	if d.cfg.DiskReserve <= 0 && d.cfg.DiskBudget <= 0 || d.room.left.Add(-n) >= 0 {
		return nil
	}
	d.room.mu.Lock()
	defer d.room.mu.Unlock()
	if d.room.left.Load() > 0 && d.room.left.Add(-n) >= 0 {
		return nil // somebody else has asked meanwhile
	}
	left := d.roomLeft()
	full := left < n
	if full != d.room.full {
		d.room.full = full
		if full {
			d.cfg.Logger.Error("no room: appends refused", "path", d.cfg.Path, "left", left, "reserve", d.cfg.DiskReserve, "budget", d.cfg.DiskBudget)
		} else {
			d.cfg.Logger.Info("room again: appends taken", "path", d.cfg.Path, "left", left)
		}
	}
	if full {
		d.room.left.Store(0)
		d.counters.refusedFull.Add(1)
		return fmt.Errorf("%w: %d bytes left", ErrNoRoom, max(left, 0))
	}
	d.room.left.Store(max(min(left/4, roomLease), n) - n)
	return nil
}

// Full says whether the last append that asked for room was refused it.
func (d *Dir) Full() bool {
	d.room.mu.Lock()
	defer d.room.mu.Unlock()
	return d.room.full
}
