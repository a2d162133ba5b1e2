package sink

// SetFree has a spool, of which no destination is open yet, take free for what its disk
// has room for.
func (s *Spool) SetFree(free func() int64) {
	s.space = func(string) (int64, int64, error) { return free(), 1 << 40, nil }
}

// SpoolReserve is what batches leave of that.
const SpoolReserve = spoolReserve
