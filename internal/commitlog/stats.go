package commitlog

import (
	"sync/atomic"
	"time"
)

// Stats counts what a directory did since it was opened, and what it holds now.
type Stats struct {
	Logs, Segments int
	Bytes          int64 // of batches in all segments

	Appends       int64
	AppendedBytes int64
	Refused       int64 // appends that ended in an error
	Duplicates    int64 // of idempotent producers, answered and not written
	WriteErrors   int64

	Flushes     int64
	FlushErrors int64
	FlushTime   time.Duration // spent in fsync, all lanes together
	Rolls       int64

	RetiredSegments int64 // removed by retention
	RetiredBytes    int64

	Free, Total int64 // bytes of the file system, -1 where it does not say
	Full        bool  // appends are refused for want of room
	RefusedFull int64 // so many were

	Compactions     int64 // of logs, that came to an end
	CompactErrors   int64 // that did not
	CompactedInput  int64 // bytes read for it
	CompactedOutput int64 // bytes written by it

	RecoveredLogs    int64 // that had to be looked at batch by batch
	RecoveredBatches int64
	CutBytes         int64 // thrown away behind the last whole batch
}

type counters struct {
	appends, appendedBytes, refused, duplicates, writeErrors atomic.Int64
	flushes, flushErrors, flushNanos, rolls                  atomic.Int64
	retired, retiredBytes                                    atomic.Int64
	refusedFull                                              atomic.Int64
	cleanings, cleanErrors, cleanedIn, cleanedOut            atomic.Int64
	recoveredLogs, recoveredBatches, cutBytes                atomic.Int64
}

func (c *counters) flushed(d time.Duration) {
	c.flushes.Add(1)
	c.flushNanos.Add(int64(d))
}

// Stats returns a snapshot.
func (d *Dir) Stats() Stats {
	c := &d.counters
	st := Stats{
		Appends:          c.appends.Load(),
		AppendedBytes:    c.appendedBytes.Load(),
		Refused:          c.refused.Load(),
		Duplicates:       c.duplicates.Load(),
		WriteErrors:      c.writeErrors.Load(),
		Flushes:          c.flushes.Load(),
		FlushErrors:      c.flushErrors.Load(),
		FlushTime:        time.Duration(c.flushNanos.Load()),
		Rolls:            c.rolls.Load(),
		RetiredSegments:  c.retired.Load(),
		RetiredBytes:     c.retiredBytes.Load(),
		Full:             d.Full(),
		RefusedFull:      c.refusedFull.Load(),
		Compactions:      c.cleanings.Load(),
		CompactErrors:    c.cleanErrors.Load(),
		CompactedInput:   c.cleanedIn.Load(),
		CompactedOutput:  c.cleanedOut.Load(),
		RecoveredLogs:    c.recoveredLogs.Load(),
		RecoveredBatches: c.recoveredBatches.Load(),
		CutBytes:         c.cutBytes.Load(),
	}
	st.Free, st.Total = d.Space()
	d.mu.RLock()
	defer d.mu.RUnlock()
	st.Logs = len(d.logs)
	for _, l := range d.logs {
		list := *l.segs.Load()
		st.Segments += len(list)
		for _, s := range list {
			st.Bytes += s.size.Load()
		}
	}
	return st
}
