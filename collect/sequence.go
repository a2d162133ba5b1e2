package collect

// sequence follows the sequence numbers of one domain. Its unit is the
// protocol's: datagrams or records.
type sequence struct {
	started bool
	blind   bool   // records of the last datagram could not be counted
	next    uint32 // number that the next datagram should have
	ahead   uint32 // units that went missing lately and may still come
}

// How far a number may lie from the expected one and still be the same run of
// numbers, in units. Beyond that the exporter has started again.
const (
	maxGap  = 1 << 20
	maxLate = 1 << 10
)

// continues reports whether a datagram of this number can belong to the same run
// of numbers.
func (s *sequence) continues(number uint32) bool {
	return !s.started || number-s.next < maxGap || s.next-number <= maxLate
}

// observe takes the number of a datagram and how many units the datagram has.
// Known is false when units could not be counted, because a template was
// missing: then the number that follows is no sign of loss.
func (s *sequence) observe(number, units uint32, known bool, c *counters) {
	if !s.started {
		*s = sequence{started: true, next: number + units, blind: !known}
		return
	}
	switch gap := number - s.next; {
	case gap == 0:
	case gap < maxGap:
		if !s.blind {
			c.gaps.Add(1)
			c.skipped.Add(uint64(gap))
			s.ahead = min(s.ahead+gap, maxLate)
		}
	case s.next-number <= maxLate+units:
		// Late or repeated: what was taken for missing has come after all, as
		// far as something was missing.
		if found := min(s.ahead, units); found > 0 {
			c.recovered.Add(uint64(found))
			s.ahead -= found
		}
		c.repeated.Add(1)
		return
	default:
		c.restarts.Add(1)
		s.ahead = 0
	}
	s.next, s.blind = number+units, !known
}
