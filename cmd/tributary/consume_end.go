package main

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// finish knows, for --exit-at-end, where each partition begins and ends, and how
// far it has been read. In a group only the partitions that are assigned count.
type finish struct {
	mu       sync.Mutex
	group    bool
	joined   bool // the group has assigned something, or nothing
	begins   kadm.ListedOffsets
	starts   kadm.ListedOffsets
	ends     kadm.ListedOffsets
	position map[string]map[int32]int64 // of those that have to be read to the end
	from     map[string]map[int32]int64
}

func newFinish(ctx context.Context, admin *kadm.Client, o *consumeOptions, begin kgo.Offset, partitions map[string][]int32) (*finish, error) {
	f := &finish{group: o.group != "", position: map[string]map[int32]int64{}, from: map[string]map[int32]int64{}}
	if len(partitions) == 0 {
		return f, nil
	}
	topics := make([]string, 0, len(partitions))
	for t := range partitions {
		topics = append(topics, t)
	}
	list := admin.ListEndOffsets
	if o.kafka.endpoint.Properties["isolation.level"] == "read_committed" {
		list = admin.ListCommittedOffsets
	}
	var err error
	if f.ends, err = list(ctx, topics...); err == nil {
		err = f.ends.Error()
	}
	if err != nil {
		return nil, err
	}
	if f.starts, err = admin.ListStartOffsets(ctx, topics...); err == nil {
		err = f.starts.Error()
	}
	if err != nil {
		return nil, err
	}
	e := begin.EpochOffset()
	if o.offset != "" && o.offset[0] == '@' {
		if f.begins, err = admin.ListOffsetsAfterMilli(ctx, e.Offset, topics...); err == nil {
			err = f.begins.Error()
		}
		if err != nil {
			return nil, err
		}
	}
	for t, ps := range partitions {
		f.position[t], f.from[t] = map[int32]int64{}, map[int32]int64{}
		for _, p := range ps {
			at := f.resolve(t, p, o.offset, e.Offset)
			f.from[t][p] = at
			if !f.group {
				f.position[t][p] = at
			}
		}
	}
	return f, nil
}

// resolve turns what --offset says into an offset of the partition.
func (f *finish) resolve(topic string, partition int32, where string, n int64) int64 {
	s, _ := f.starts.Lookup(topic, partition)
	e, _ := f.ends.Lookup(topic, partition)
	at := e.Offset
	switch {
	case where == "earliest":
		at = s.Offset
	case where == "" || where == "latest":
	case where[0] == '@':
		if b, ok := f.begins.Lookup(topic, partition); ok && b.Offset >= 0 {
			at = b.Offset
		}
	case where[0] == '-':
		at = e.Offset + relative(where)
	default:
		at = n
	}
	return max(at, s.Offset)
}

// relative reads -N.
func relative(where string) (n int64) {
	for _, c := range where[1:] {
		n = n*10 - int64(c-'0')
	}
	return n
}

// begin is where to begin reading a partition.
func (f *finish) begin(topic string, partition int32) kgo.Offset {
	return kgo.NewOffset().At(f.from[topic][partition])
}

// assigned takes note of the offsets at which the group's partitions begin.
func (f *finish) assigned(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joined = true
	for t, ps := range offsets {
		for p, o := range ps {
			if f.position[t] == nil {
				continue // a topic that came later
			}
			at := o.EpochOffset().Offset
			if at < 0 { // no commit: where the command says
				at = f.from[t][p]
				ps[p] = kgo.NewOffset().At(at)
			}
			f.position[t][p] = at
		}
	}
	return offsets, nil
}

// passed moves the positions.
func (f *finish) passed(fetches kgo.Fetches) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fetches.EachRecord(func(r *kgo.Record) {
		if ps := f.position[r.Topic]; ps != nil {
			if _, ok := ps[r.Partition]; ok {
				ps[r.Partition] = r.Offset + 1
			}
		}
	})
}

// reached reports whether every partition has been read to its end.
func (f *finish) reached() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.group && !f.joined {
		return false
	}
	for t, ps := range f.position {
		for p, at := range ps {
			if e, ok := f.ends.Lookup(t, p); ok && at < e.Offset {
				return false
			}
		}
	}
	return true
}
