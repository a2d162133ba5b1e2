package broker

import (
	"encoding/binary"
	"hash/crc32"
)

// Offsets committed in a transaction wait in their group until its marker is in the partition of the offsets topic that keeps
// the group: a commit makes them count, an abort drops them.

// appendTxnBatch appends a batch of records in a producer's name.
func appendTxnBatch(dst []byte, records []record, ms, producerID int64, epoch int16) []byte {
	at := len(dst)
	dst = appendBatch(dst, records, ms)
	b := dst[at:]
	binary.BigEndian.PutUint16(b[batchAttrsAt:], attrTransactional)
	binary.BigEndian.PutUint64(b[batchProducerAt:], uint64(producerID))
	binary.BigEndian.PutUint16(b[batchEpochAt:], uint16(epoch))
	binary.BigEndian.PutUint32(b[batchCRCAt:], crc32.Checksum(b[batchAttrsAt:], batchCRC))
	return dst
}

// holdOffset notes an offset of a transaction in a locked group.
func (g *group) holdOffset(producerID int64, tp topicPartition, c committed) {
	if g.txnOffsets == nil {
		g.txnOffsets = make(map[int64]map[topicPartition]committed)
	}
	if g.txnOffsets[producerID] == nil {
		g.txnOffsets[producerID] = make(map[topicPartition]committed)
	}
	if have, ok := g.txnOffsets[producerID][tp]; ok {
		g.gs.bytes.Add(-int64(have.size(tp)))
	}
	g.gs.bytes.Add(int64(c.size(tp)))
	g.txnOffsets[producerID][tp] = c
}

// holds says whether an open transaction has an offset for a partition in a locked group.
func (g *group) holds(tp topicPartition) bool {
	for _, held := range g.txnOffsets {
		if _, ok := held[tp]; ok {
			return true
		}
	}
	return false
}

// dropHeld drops what open transactions have for a partition in a locked group.
func (g *group) dropHeld(tp topicPartition) {
	for producerID, held := range g.txnOffsets {
		if c, ok := held[tp]; ok {
			g.gs.bytes.Add(-int64(c.size(tp)))
			if delete(held, tp); len(held) == 0 {
				delete(g.txnOffsets, producerID)
			}
		}
	}
}

// endTxn makes the offsets of a producer's transaction count, or drops them, in all groups of a partition of the offsets topic.
func (gs *groups) endTxn(partition int32, producerID int64, commit bool) {
	t := gs.b.topics.get(offsetsTopic)
	if t == nil {
		return
	}
	parts := uint32(len(t.partitions()))
	gs.mu.Lock()
	var all []*group
	for id, g := range gs.byID {
		if int32(groupHash(id)%parts) == partition {
			all = append(all, g)
		}
	}
	gs.mu.Unlock()
	for _, g := range all {
		g.mu.Lock()
		for tp, c := range g.txnOffsets[producerID] {
			g.gs.bytes.Add(-int64(c.size(tp)))
			if have, ok := g.offsets[tp]; commit && (!ok || have.logged <= c.logged) {
				g.setOffset(tp, c)
			}
		}
		delete(g.txnOffsets, producerID)
		g.mu.Unlock()
	}
}

// readMarker tells what a control batch says, when it ends a transaction.
func readMarker(b []byte) (producerID int64, commit, ok bool) {
	if len(b) < batchHeader {
		return 0, false, false
	}
	cur := cursor{b: b[batchHeader:]}
	rec := cursor{b: cur.take(int(cur.varint()))}
	rec.int8()
	rec.varint()
	rec.varint()
	key := cursor{b: rec.varBytes()}
	key.int16()
	kind := key.int16()
	if rec.bad || key.bad || kind != 0 && kind != 1 {
		return 0, false, false
	}
	return int64(binary.BigEndian.Uint64(b[batchProducerAt:])), kind == 1, true
}
