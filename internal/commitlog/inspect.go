package commitlog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The functions here read the files of a log that nobody has open, or that somebody else writes: they take no lock and
// change nothing.

// Batch is the header of a batch in a segment file, and where it stands.
type Batch struct {
	Position, Size         int64 // in the file
	BaseOffset, LastOffset int64
	Count                  int32 // records in it; fewer than its offsets once it was compacted
	LeaderEpoch            int32
	ProducerID             int64 // -1 for none
	ProducerEpoch          int16
	BaseSequence           int32 // -1 for none
	LastSequence           int32
	BaseTimestamp          int64 // ms since 1970; that of the delete horizon where there is one
	MaxTimestamp           int64 // ms since 1970
	Codec                  int   // 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd
	LogAppendTime          bool
	Transactional          bool
	Control                bool
	DeleteHorizon          bool
	CRC                    uint32
}

// InspectBatches calls f for each batch of a segment file of a size, in order, once its CRC is found to be right, until f
// returns an error. The error is f's, or that of the first batch that is not whole, with its position.
func InspectBatches(r io.ReaderAt, size int64, f func(Batch) error) error {
	in := newBatchReader(r, 0, size, make([]byte, 1<<20))
	for {
		at := in.pos
		h, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("position %d: %w: the file has become shorter", at, ErrCorrupt)
		case err != nil:
			return fmt.Errorf("position %d: %w", at, err)
		}
		b := Batch{
			Position: at, Size: h.size(), BaseOffset: h.baseOffset(), LastOffset: h.lastOffset(), Count: h.count(),
			LeaderEpoch: h.leaderEpoch(), ProducerID: h.producerID(), ProducerEpoch: h.producerEpoch(),
			BaseSequence: h.baseSequence(), LastSequence: -1,
			BaseTimestamp: h.baseTimestamp(), MaxTimestamp: h.maxTimestamp(), Codec: h.codec(), LogAppendTime: h.logAppendTime(),
			Transactional: h.transactional(), Control: h.control(), DeleteHorizon: h.hasHorizon(), CRC: h.crc(),
		}
		if b.BaseSequence >= 0 {
			b.LastSequence = addSequence(b.BaseSequence, h.lastDelta())
		}
		if err := f(b); err != nil {
			return err
		}
	}
}

// Record is one record of a batch. Its slices are valid until the callback that has it returns.
type Record struct {
	Offset     int64
	Timestamp  int64 // ms since 1970
	Key, Value []byte
	Headers    []Header
}

// Header is a header of a record.
type Header struct {
	Key   string
	Value []byte
}

// InspectRecords calls f for each record of a batch that InspectBatches found.
func InspectRecords(r io.ReaderAt, b Batch, f func(Record) error) error {
	if b.Count == 0 {
		return nil
	}
	body, done, err := unfold(b.Codec, io.NewSectionReader(r, b.Position+batchHeaderSize, b.Size-batchHeaderSize))
	if err != nil {
		return fmt.Errorf("position %d: %w: %w", b.Position, ErrCorrupt, err)
	}
	defer done()
	in := bufio.NewReaderSize(io.LimitReader(body, maxUnfolded), 32<<10)
	var space bytes.Buffer
	for i := range b.Count {
		rec, err := inspectRecord(in, &space)
		if err != nil {
			return fmt.Errorf("position %d: record %d: %w", b.Position, i, err)
		}
		out := Record{Offset: b.BaseOffset + rec.delta, Timestamp: b.BaseTimestamp + rec.timeDelta, Key: rec.key, Value: rec.value}
		if b.LogAppendTime {
			out.Timestamp = b.MaxTimestamp
		}
		if out.Headers, err = parseHeaders(rec); err != nil {
			return fmt.Errorf("position %d: record %d: %w", b.Position, i, err)
		}
		if err := f(out); err != nil {
			return err
		}
	}
	return nil
}

// inspectRecord reads a whole record into space, taking no more memory than there are bytes.
func inspectRecord(in *bufio.Reader, space *bytes.Buffer) (rawRecord, error) {
	length, err := binary.ReadVarint(in)
	if err != nil {
		return rawRecord{}, fmt.Errorf("%w: %w", ErrInvalidRecord, err)
	}
	if length < minRecordBytes-1 || length > maxUnfolded {
		return rawRecord{}, fmt.Errorf("%w: record of %d bytes", ErrInvalidRecord, length)
	}
	space.Reset()
	space.Write(binary.AppendVarint(space.AvailableBuffer(), length))
	if _, err := io.CopyN(space, in, length); err != nil {
		return rawRecord{}, fmt.Errorf("%w: %w", ErrInvalidRecord, err)
	}
	rec, _, err := parseRecord(space.Bytes())
	return rec, err
}

// parseHeaders reads what stands behind a record's key and value.
func parseHeaders(rec rawRecord) ([]Header, error) {
	cut := fmt.Errorf("%w: header runs over its record", ErrInvalidRecord)
	b := rec.rest
	take := func() ([]byte, bool) {
		size, n := recordVarint(b)
		if n <= 0 || size < -1 || size > int64(len(b)-n) {
			return nil, false
		}
		if b = b[n:]; size < 0 {
			return nil, true
		}
		part := b[:size:size]
		b = b[size:]
		return part, true
	}
	for range 2 { // key and value, which parseRecord has
		if _, ok := take(); !ok {
			return nil, cut
		}
	}
	count, n := recordVarint(b)
	if n <= 0 || count < 0 || count > int64(len(b)) {
		return nil, cut
	}
	b = b[n:]
	var all []Header
	for range count {
		key, ok := take()
		value, ok2 := take()
		if !ok || !ok2 || key == nil {
			return nil, cut
		}
		all = append(all, Header{string(key), value})
	}
	return all, nil
}

// IndexEntry is an entry of a .index or a .timeindex.
type IndexEntry struct {
	Offset    int64
	Position  int64 // of the batch in the .log, of a .index
	Timestamp int64 // ms since 1970, of a .timeindex
}

// InspectOffsetIndex reads a .index of the segment that begins at base. What Apache Kafka keeps free at the end while it has
// a file open, zeros, is left out. An entry that does not grow is the error, behind those before it.
func InspectOffsetIndex(b []byte, base int64) ([]IndexEntry, error) {
	var all []IndexEntry
	for at := 0; len(b)-at >= offsetEntrySize; at += offsetEntrySize {
		e := b[at : at+offsetEntrySize]
		if zero(e) {
			break
		}
		next := IndexEntry{Offset: base + int64(int32(binary.BigEndian.Uint32(e))), Position: int64(int32(binary.BigEndian.Uint32(e[4:])))}
		if n := len(all); n > 0 && (next.Offset <= all[n-1].Offset || next.Position <= all[n-1].Position) || next.Offset < base || next.Position < 0 {
			return all, fmt.Errorf("position %d: %w: entry %d, %d does not grow", at, ErrCorrupt, next.Offset, next.Position)
		}
		all = append(all, next)
	}
	return all, leftOver(len(b), offsetEntrySize)
}

// InspectTimeIndex reads a .timeindex as InspectOffsetIndex does a .index.
func InspectTimeIndex(b []byte, base int64) ([]IndexEntry, error) {
	var all []IndexEntry
	for at := 0; len(b)-at >= timeEntrySize; at += timeEntrySize {
		e := b[at : at+timeEntrySize]
		if zero(e) {
			break
		}
		next := IndexEntry{Timestamp: int64(binary.BigEndian.Uint64(e)), Offset: base + int64(int32(binary.BigEndian.Uint32(e[8:])))}
		if n := len(all); n > 0 && (next.Timestamp <= all[n-1].Timestamp || next.Offset < all[n-1].Offset) || next.Offset < base {
			return all, fmt.Errorf("position %d: %w: entry %d, %d does not grow", at, ErrCorrupt, next.Timestamp, next.Offset)
		}
		all = append(all, next)
	}
	return all, leftOver(len(b), timeEntrySize)
}

func zero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

func leftOver(size, entry int) error {
	if n := size % entry; n != 0 {
		return fmt.Errorf("position %d: %w: %d bytes left over", size-n, ErrCorrupt, n)
	}
	return nil
}

// AbortedEntry is an entry of a .txnindex.
type AbortedEntry struct {
	ProducerID       int64
	First, Last      int64 // offsets of the transaction; the last is its marker's
	LastStableOffset int64 // behind the marker
}

// InspectTxnIndex reads a .txnindex. An entry that cannot be right is the error, behind those before it.
func InspectTxnIndex(b []byte) ([]AbortedEntry, error) {
	var all []AbortedEntry
	for at := 0; len(b)-at >= txnEntrySize; at += txnEntrySize {
		a, ok := decodeAborted(b[at:])
		if !ok {
			return all, fmt.Errorf("position %d: %w: no entry of a transaction index", at, ErrCorrupt)
		}
		all = append(all, AbortedEntry{a.producerID, a.first, a.last, a.stable})
	}
	return all, leftOver(len(b), txnEntrySize)
}

// ProducerEntry is what a .snapshot has of a producer.
type ProducerEntry struct {
	ProducerID       int64
	Epoch            int16
	LastSequence     int32 // -1 for none
	LastOffset       int64
	OffsetDelta      int32 // of the last batch
	Timestamp        int64 // ms since 1970, of the last batch
	CoordinatorEpoch int32 // -1 for none
	TxnFirst         int64 // first offset of the open transaction, -1 for none
}

// InspectSnapshot reads the part of a .snapshot that is Kafka's.
func InspectSnapshot(b []byte) ([]ProducerEntry, error) {
	b, n, err := snapshotEntries(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	all := make([]ProducerEntry, 0, n)
	for range n {
		all = append(all, decodeProducer(b))
		b = b[snapshotEntrySize:]
	}
	return all, nil
}
