package broker

import (
	"encoding/binary"
	"fmt"
	"time"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// What the group coordinator has to remember lies in the topic __consumer_offsets, in Kafka's schemas: a committed offset is
// an OffsetCommitKey and -Value, a group's generation and assignment a GroupMetadataKey and -Value, and what is no more a
// tombstone. The newest record of a key counts.

const (
	offsetKeyVersion   = 1
	offsetValueVersion = 3
	groupKeyVersion    = 2
	groupValueVersion  = 3
)

// topicPartition names a partition a group has committed an offset for.
type topicPartition struct {
	topic     string
	partition int32
}

// committed is a committed offset.
type committed struct {
	offset   int64
	epoch    int32
	metadata string
	at       int64 // ms since 1970
	logged   int64 // offset of its record in the offsets topic: a later one counts
}

func offsetRecord(group string, tp topicPartition, c *committed) record {
	k := kmsg.NewOffsetCommitKey()
	k.Version, k.Group, k.Topic, k.Partition = offsetKeyVersion, group, tp.topic, tp.partition
	r := record{key: k.AppendTo(nil)}
	if c != nil {
		v := kmsg.NewOffsetCommitValue()
		v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp = offsetValueVersion, c.offset, c.epoch, c.metadata, c.at
		r.value = v.AppendTo(nil)
	}
	return r
}

func groupRecord(group string, v *kmsg.GroupMetadataValue) record {
	k := kmsg.NewGroupMetadataKey()
	k.Version, k.Group = groupKeyVersion, group
	r := record{key: k.AppendTo(nil)}
	if v != nil {
		v.Version = groupValueVersion
		r.value = v.AppendTo(nil)
	}
	return r
}

// groupHash is Java's String.hashCode, by which Kafka gives a group its partition of the offsets topic.
func groupHash(group string) uint32 {
	var h int32
	for _, c := range utf16.Encode([]rune(group)) {
		h = 31*h + int32(c)
	}
	return uint32(h) & 0x7fffffff
}

// offsetsLog returns the log that remembers a group, making the topic when it is missing.
func (gs *groups) offsetsLog(group string) (*commitlog.Log, error) {
	t, err := gs.b.topics.ensure(offsetsTopic)
	if err != nil {
		return nil, err
	}
	parts := t.partitions()
	return parts[int(groupHash(group)%uint32(len(parts)))].log, nil
}

// logged is where records were appended, to wait for.
type logged struct {
	log         *commitlog.Log
	first, last int64
}

// wait calls f when the records are durable. It must not be called with a group's lock held, which f may want.
func (l logged) wait(f func(error)) { l.log.NotifyFlushed(l.last, f) }

// partitionOf is the partition of the offsets topic that keeps a group.
func (gs *groups) partitionOf(group string) (topicPartition, error) {
	l, err := gs.offsetsLog(group)
	if err != nil {
		return topicPartition{}, err
	}
	return topicPartition{offsetsTopic, l.Partition()}, nil
}

// remember appends records of one group.
func (gs *groups) remember(group string, records []record) (logged, error) {
	l, err := gs.offsetsLog(group)
	if err != nil {
		return logged{}, err
	}
	batch := appendBatch(nil, records, time.Now().UnixMilli())
	info, err := l.Append(batch, commitlog.AppendOptions{UseReserve: true}) // so that a full disk can be drained
	if err != nil {
		return logged{}, err
	}
	return logged{l, info.BaseOffset, info.LastOffset}, nil
}

// replay reads the offsets topic from its beginning. It runs before anybody is let in.
func (gs *groups) replay() error {
	t := gs.b.topics.get(offsetsTopic)
	if t == nil {
		return nil
	}
	for _, p := range t.partitions() {
		if err := gs.replayLog(p.log); err != nil {
			return fmt.Errorf("replay %s-%d: %w", offsetsTopic, p.index, err)
		}
	}
	return nil
}

func (gs *groups) replayLog(l *commitlog.Log) error {
	skipped, err := replayBatches(l, func(b []byte) error {
		if !transactional(b) {
			return readBatch(b, gs.replayRecord)
		}
		if producerID, commit, ok := readMarker(b); ok && binary.BigEndian.Uint16(b[batchAttrsAt:])&attrControl != 0 {
			gs.endTxn(l.Partition(), producerID, commit)
			return nil
		}
		producerID := int64(binary.BigEndian.Uint64(b[batchProducerAt:]))
		return readBatch(b, func(offset int64, r record) { gs.replayHeld(producerID, offset, r) })
	})
	if skipped > 0 {
		gs.b.log.Warn("batches of the offsets topic cannot be read", "topic", offsetsTopic, "partition", l.Partition(), "batches", skipped)
	}
	return err
}

// replayBatches calls f for every batch of a log, and counts those it could not make out.
func replayBatches(l *commitlog.Log, f func(batch []byte) error) (skipped int, err error) {
	const window = 1 << 20
	var buf []byte
	for offset := l.StartOffset(); offset < l.EndOffset(); {
		span, err := l.Read(offset, window, commitlog.ReadOptions{MinOne: true, Uncommitted: true})
		if err != nil {
			return skipped, err
		}
		if span.Empty() {
			return skipped, nil // a gap up to the end
		}
		if int64(cap(buf)) < span.Len {
			buf = make([]byte, span.Len)
		}
		buf = buf[:span.Len]
		_, err = span.ReadAt(buf, 0)
		span.Release()
		if err != nil {
			return skipped, err
		}
		next := offset
		for rest := buf; len(rest) >= batchHeader; {
			size := batchSize(rest)
			if size < batchHeader || size > len(rest) {
				break
			}
			if f(rest[:size]) != nil {
				skipped++
			}
			next = batchEnd(rest)
			rest = rest[size:]
		}
		if next <= offset {
			return skipped, fmt.Errorf("%w at %d", errBadBatch, offset)
		}
		offset = next
	}
	return skipped, nil
}

// replayHeld takes in an offset of a transaction whose end is further on, or to come.
func (gs *groups) replayHeld(producerID, offset int64, r record) {
	if group, tp, c, ok := readOffset(offset, r); ok && r.value != nil {
		gs.replayGroup(group).holdOffset(producerID, tp, c)
	}
}

// readOffset takes a record of a committed offset apart; without a value it is a tombstone.
func readOffset(offset int64, r record) (group string, tp topicPartition, c committed, ok bool) {
	k := kmsg.NewOffsetCommitKey()
	if kind := recordKind(r.key); kind != 0 && kind != 1 || k.ReadFrom(r.key) != nil {
		return "", tp, c, false
	}
	tp = topicPartition{k.Topic, k.Partition}
	if r.value == nil {
		return k.Group, tp, c, true
	}
	v := kmsg.NewOffsetCommitValue()
	if v.ReadFrom(r.value) != nil {
		return "", tp, c, false
	}
	c = committed{offset: v.Offset, epoch: v.LeaderEpoch, metadata: v.Metadata, at: v.CommitTimestamp, logged: offset}
	if v.Version < 3 {
		c.epoch = -1
	}
	return k.Group, tp, c, true
}

// replayRecord takes one record in. Kinds of keys that other versions of Kafka write are passed over.
func (gs *groups) replayRecord(offset int64, r record) {
	switch kind := recordKind(r.key); kind {
	case 0, 1:
		group, tp, c, ok := readOffset(offset, r)
		switch {
		case !ok:
		case r.value != nil:
			gs.replayGroup(group).setOffset(tp, c)
		default:
			if g := gs.byID[group]; g != nil {
				g.forgetOffset(tp)
			}
		}
	case 2:
		k := kmsg.NewGroupMetadataKey()
		if k.ReadFrom(r.key) != nil {
			return
		}
		if r.value == nil {
			if g := gs.byID[k.Group]; g != nil && g.consumer == nil {
				g.restore(nil)
			}
			return
		}
		v := kmsg.NewGroupMetadataValue()
		if v.ReadFrom(r.value) != nil {
			return
		}
		gs.replayGroup(k.Group).restore(&v)
	case kindConsumerGroup, kindConsumerMember, kindTarget, kindTargetMember, kindCurrent:
		gs.replayConsumer(kind, r)
	}
}

func (gs *groups) replayGroup(id string) *group {
	g := gs.byID[id]
	if g == nil {
		g = newGroup(gs, id)
		gs.byID[id] = g
	}
	return g
}
