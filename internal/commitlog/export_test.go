package commitlog

import "time"

// SyncInPlace sets how long a sync may take for appenders to do it.
func (d *Dir) SyncInPlace(most time.Duration) { d.inPlace = most }
