package commitlog

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// maxEpoch is beyond any epoch that came about by restarts: in a batch it is damage, since no CRC is over it there.
const maxEpoch = 1 << 30

const fileEpochs = "leader-epoch-checkpoint"

// epochEntry says from which offset on a leader epoch wrote.
type epochEntry struct {
	epoch int32
	start int64
}

// epochs is the history of a log's leader epochs, both fields growing.
type epochs []epochEntry

func (e epochs) latest() int32 {
	if len(e) == 0 {
		return 0
	}
	return e[len(e)-1].epoch
}

// at is the epoch that wrote an offset; not ok when that was before the history begins.
func (e epochs) at(offset int64) (epoch int32, ok bool) {
	for _, x := range slices.Backward(e) {
		if x.start <= offset {
			return x.epoch, true
		}
	}
	return 0, false
}

// assign begins an epoch at an offset. Epochs that would have begun there or later have written nothing that is left.
func (e *epochs) assign(epoch int32, start int64) {
	list := *e
	for len(list) > 0 && (list[len(list)-1].start >= start || list[len(list)-1].epoch >= epoch) {
		list = list[:len(list)-1]
	}
	*e = append(list, epochEntry{epoch, start})
}

// truncateEnd forgets what began at end or later.
func (e *epochs) truncateEnd(end int64) {
	list := *e
	for len(list) > 0 && list[len(list)-1].start >= end {
		list = list[:len(list)-1]
	}
	*e = list
}

// raiseStart forgets what ended before the log start offset.
func (e *epochs) raiseStart(low int64) {
	list := *e
	for len(list) > 1 && list[1].start <= low {
		list = list[1:]
	}
	if len(list) > 0 && list[0].start < low {
		list = slices.Clone(list)
		list[0].start = low
	}
	*e = list
}

func (e epochs) end(epoch int32, logEnd int64) (int32, int64) {
	if len(e) == 0 || epoch < 0 || epoch > e.latest() {
		return -1, -1
	}
	if epoch == e.latest() {
		return epoch, logEnd
	}
	next := slices.IndexFunc(e, func(x epochEntry) bool { return x.epoch > epoch })
	if next == 0 {
		return epoch, e[0].start // older than all: it ended before the first
	}
	return e[next-1].epoch, e[next].start
}

func (e epochs) encode() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "0\n%d\n", len(e))
	for _, x := range e {
		fmt.Fprintf(&b, "%d %d\n", x.epoch, x.start)
	}
	return []byte(b.String())
}

func decodeEpochs(b []byte) (epochs, error) {
	lines, err := checkpointLines(b)
	if err != nil {
		return nil, err
	}
	var e epochs
	for _, line := range lines {
		var x epochEntry
		if _, err := fmt.Sscanf(line, "%d %d", &x.epoch, &x.start); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		if n := len(e); x.epoch < 0 || x.epoch == math.MaxInt32 || x.start < 0 || n > 0 && (x.epoch <= e[n-1].epoch || x.start < e[n-1].start) {
			return nil, fmt.Errorf("line %q is out of order", line)
		}
		e = append(e, x)
	}
	return e, nil
}
