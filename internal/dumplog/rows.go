package dumplog

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// clock writes milliseconds since 1970 as a time; below 0 there is none.
func clock(ms int64) string {
	if ms < 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// optional writes a number as Java writes an OptionalLong.
func optional(n int64, there bool) string {
	if !there {
		return "OptionalLong.empty"
	}
	return fmt.Sprintf("OptionalLong[%d]", n)
}

type offsetEntry struct {
	Type     string `json:"type"`
	Offset   int64  `json:"offset"`
	Position int64  `json:"position"`
}

func (e offsetEntry) text() string { return fmt.Sprintf("%-20d  %d", e.Offset, e.Position) }
func (e offsetEntry) kafka() string {
	return fmt.Sprintf("offset: %d position: %d", e.Offset, e.Position)
}

type timeEntry struct {
	Type   string `json:"type"`
	Time   string `json:"timestamp"`
	Offset int64  `json:"offset"`
	millis int64
}

func (e timeEntry) text() string  { return fmt.Sprintf("%-24s  %d", e.Time, e.Offset) }
func (e timeEntry) kafka() string { return fmt.Sprintf("timestamp: %d offset: %d", e.millis, e.Offset) }

type abortedEntry struct {
	Type       string `json:"type"`
	ProducerID int64  `json:"producer_id"`
	First      int64  `json:"first_offset"`
	Last       int64  `json:"last_offset"`
	Stable     int64  `json:"last_stable_offset"`
}

func (e abortedEntry) text() string {
	return fmt.Sprintf("%-10d  %-20d  %-20d  %d", e.ProducerID, e.First, e.Last, e.Stable)
}

func (e abortedEntry) kafka() string {
	return fmt.Sprintf("version: 0 producerId: %d firstOffset: %d lastOffset: %d lastStableOffset: %d", e.ProducerID, e.First, e.Last, e.Stable)
}

type producerEntry struct {
	Type             string `json:"type"`
	ProducerID       int64  `json:"producer_id"`
	Epoch            int16  `json:"producer_epoch"`
	CoordinatorEpoch int32  `json:"coordinator_epoch"`
	TxnFirst         *int64 `json:"transaction_first_offset"`
	Time             string `json:"timestamp"`
	FirstSequence    *int32 `json:"first_sequence"`
	LastSequence     *int32 `json:"last_sequence"`
	LastOffset       *int64 `json:"last_offset"`

	entry commitlog.ProducerEntry
}

func newProducerEntry(e commitlog.ProducerEntry) producerEntry {
	p := producerEntry{
		Type: "producer", ProducerID: e.ProducerID, Epoch: e.Epoch, CoordinatorEpoch: e.CoordinatorEpoch,
		Time: clock(e.Timestamp), entry: e,
	}
	if e.TxnFirst >= 0 {
		p.TxnFirst = &e.TxnFirst
	}
	if e.LastSequence >= 0 {
		first := e.LastSequence - e.OffsetDelta
		if first < 0 { // they go from 2^31-1 back to 0
			first += 1<<31 - 1
			first++
		}
		p.FirstSequence, p.LastSequence, p.LastOffset = &first, &e.LastSequence, &e.LastOffset
	}
	return p
}

func (e producerEntry) text() string {
	sequence, offset, from := "-", "-", "-"
	if e.LastSequence != nil {
		sequence, offset = strconv.Itoa(int(*e.LastSequence)), strconv.FormatInt(*e.LastOffset, 10)
	}
	if e.TxnFirst != nil {
		from = strconv.FormatInt(*e.TxnFirst, 10)
	}
	return fmt.Sprintf("%-10d  %-5d  %-13s  %-20s  %-24s  %s", e.ProducerID, e.Epoch, sequence, offset, e.Time, from)
}

func (e producerEntry) kafka() string {
	s := fmt.Sprintf("producerId: %d producerEpoch: %d coordinatorEpoch: %d currentTxnFirstOffset: %s lastTimestamp: %d",
		e.ProducerID, e.Epoch, e.CoordinatorEpoch, optional(e.entry.TxnFirst, e.TxnFirst != nil), e.entry.Timestamp)
	if e.LastSequence != nil {
		s += fmt.Sprintf(" firstSequence: %d lastSequence: %d lastOffset: %d offsetDelta: %d timestamp: %d",
			*e.FirstSequence, *e.LastSequence, *e.LastOffset, e.entry.OffsetDelta, e.entry.Timestamp)
	}
	return s
}

// checkpointLine is a line of a checkpoint, and of other files of names and values.
type checkpointLine struct{ fields, values []string }

func (l checkpointLine) text() string  { return strings.Join(l.values, "  ") }
func (l checkpointLine) kafka() string { return strings.Join(l.values, " ") }

func (l checkpointLine) MarshalJSON() ([]byte, error) {
	m := map[string]any{"type": "line"}
	for i, f := range l.fields {
		if n, err := strconv.ParseInt(l.values[i], 10, 64); err == nil && f != "topic" && f != "value" {
			m[f] = n
		} else {
			m[f] = l.values[i]
		}
	}
	return json.Marshal(m)
}
