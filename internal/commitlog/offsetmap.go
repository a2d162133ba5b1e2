package commitlog

import "hash/maphash"

// offsetMap remembers the last offset of each key, in a bounded number of bytes: keys are known by a hash of 128 bits
// that nobody outside can foresee, so that no two keys are taken for one, by chance or by design.
type offsetMap struct {
	seeds [2]maphash.Seed
	slots []offsetSlot
	used  int
	limit int // keys it takes

	latest int64 // every record up to here has been looked at
}

type offsetSlot struct {
	hash   [2]uint64
	offset int64 // plus one; 0 is an empty slot
}

const offsetSlotSize = 24

// newOffsetMap makes a map for a number of keys, or for fewer where they do not fit in maxBytes.
func newOffsetMap(maxBytes, keys int64) *offsetMap {
	n := max(min(keys/3*4+8, maxBytes/offsetSlotSize), 8)
	return &offsetMap{
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		slots: make([]offsetSlot, n),
		limit: int(n / 4 * 3),
	}
}

// slot finds the slot of a key, or the empty one where it belongs.
func (m *offsetMap) slot(key []byte) (*offsetSlot, [2]uint64) {
	h := [2]uint64{maphash.Bytes(m.seeds[0], key), maphash.Bytes(m.seeds[1], key)}
	for i := h[0] % uint64(len(m.slots)); ; i = (i + 1) % uint64(len(m.slots)) {
		if s := &m.slots[i]; s.offset == 0 || s.hash == h {
			return s, h
		}
	}
}

// put notes an offset of a key, larger than all before; false when there is no room for one more key.
func (m *offsetMap) put(key []byte, offset int64) bool {
	s, h := m.slot(key)
	if s.offset == 0 {
		if m.used == m.limit {
			return false
		}
		m.used++
		s.hash = h
	}
	s.offset = offset + 1
	return true
}

// get is the last offset of a key, -1 when it is not known.
func (m *offsetMap) get(key []byte) int64 {
	s, _ := m.slot(key)
	return s.offset - 1
}
