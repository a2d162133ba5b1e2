package commitlog_test

import (
	"encoding/binary"
	"hash/crc32"
)

// batchSpec describes a batch for tests to build.
type batchSpec struct {
	records    [][]byte // values
	keys       [][]byte // of the records; nil: none
	times      []int64  // timestamps of records; nil: base for all
	baseTime   int64
	producer   int64 // -1: none
	epoch      int16
	sequence   int32
	attributes uint16
	squeeze    func([]byte) []byte // compresses the records
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// build encodes the batch as Kafka's protocol guide has it, independently of the package under test.
func (s batchSpec) build() []byte {
	be := binary.BigEndian
	maxTime := s.baseTime
	var body []byte
	for i, v := range s.records {
		ts := s.baseTime
		if s.times != nil {
			ts = s.times[i]
		}
		if i == 0 || ts > maxTime {
			maxTime = ts
		}
		r := []byte{0}
		r = binary.AppendVarint(r, ts-s.baseTime)
		r = binary.AppendVarint(r, int64(i))
		field := func(b []byte) {
			if b == nil {
				r = binary.AppendVarint(r, -1)
				return
			}
			r = binary.AppendVarint(r, int64(len(b)))
			r = append(r, b...)
		}
		if s.keys == nil {
			field(nil)
		} else {
			field(s.keys[i])
		}
		field(v)
		r = binary.AppendVarint(r, 0)
		body = binary.AppendVarint(body, int64(len(r)))
		body = append(body, r...)
	}
	if s.squeeze != nil {
		body = s.squeeze(body)
	}
	b := make([]byte, 61, 61+len(body))
	be.PutUint32(b[8:], uint32(49+len(body)))
	be.PutUint32(b[12:], 0xffffffff)
	b[16] = 2
	be.PutUint16(b[21:], s.attributes)
	be.PutUint32(b[23:], uint32(len(s.records)-1))
	be.PutUint64(b[27:], uint64(s.baseTime))
	be.PutUint64(b[35:], uint64(maxTime))
	be.PutUint64(b[43:], uint64(s.producer))
	epoch := s.epoch
	if s.producer < 0 {
		epoch = -1
	}
	be.PutUint16(b[51:], uint16(epoch))
	sequence := s.sequence
	if s.producer < 0 {
		sequence = -1
	}
	be.PutUint32(b[53:], uint32(sequence))
	be.PutUint32(b[57:], uint32(len(s.records)))
	b = append(b, body...)
	return resum(b)
}

// resum makes the CRC right again after a change.
func resum(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return b
}

// plain is a batch of one value per record and no producer id.
func plain(ms int64, values ...string) []byte {
	s := batchSpec{baseTime: ms, producer: -1}
	for _, v := range values {
		s.records = append(s.records, []byte(v))
	}
	return s.build()
}

// sized is a batch of one record that is n bytes long in all.
func sized(ms int64, n int) []byte {
	for pad := max(n-61-16, 1); ; pad++ {
		b := plain(ms, string(make([]byte, pad)))
		if len(b) >= n {
			return b
		}
	}
}

// recordsOf decodes uncompressed batches: offset and value of each record.
type record struct {
	offset int64
	value  string
}

func recordsOf(b []byte) []record {
	be := binary.BigEndian
	var out []record
	for len(b) >= 61 {
		size := 12 + int(be.Uint32(b[8:]))
		if size > len(b) {
			break
		}
		if crc32.Checksum(b[21:size], castagnoli) != be.Uint32(b[17:]) {
			panic("CRC of a batch that was read back")
		}
		p := b[61:size]
		for range be.Uint32(b[57:]) {
			length, n := binary.Varint(p)
			r := p[n : n+int(length)]
			p = p[n+int(length):]
			r = r[1:]
			_, n = binary.Varint(r)
			r = r[n:]
			delta, n := binary.Varint(r)
			r = r[n:]
			kl, n := binary.Varint(r)
			r = r[n+int(max(kl, 0)):]
			vl, n := binary.Varint(r)
			out = append(out, record{int64(be.Uint64(b)) + delta, string(r[n : n+int(vl)])})
		}
		b = b[size:]
	}
	return out
}
