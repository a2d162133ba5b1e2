package broker

import (
	"bytes"
	"encoding/binary"
	"maps"
	"regexp"
	"slices"
	"time"
)

// What a KIP-848 group has to remember, in the schemas that Kafka writes to __consumer_offsets: the key begins with the
// kind of record as its version, the value with version 0, and both are Kafka's own encodings, keys without and values with
// compact types. The broker's codec library knows only the kinds of classic groups.
const (
	kindConsumerGroup  = 3
	kindConsumerMember = 5
	kindTarget         = 6
	kindTargetMember   = 7
	kindCurrent        = 8
)

// consumerKey is the key of a record, of a member unless the member is empty.
func consumerKey(kind int16, group, member string) []byte {
	b := appendString(appendInt16(nil, kind), false, []byte(group))
	if kind == kindConsumerMember || kind == kindTargetMember || kind == kindCurrent {
		b = appendString(b, false, []byte(member))
	}
	return b
}

// consumerGroupRecord notes a group's epoch; nil is a tombstone.
func consumerGroupRecord(group string, epoch *int32) record {
	r := record{key: consumerKey(kindConsumerGroup, group, "")}
	if epoch != nil {
		r.value = append(appendInt32(appendInt16(nil, 0), *epoch), 0)
	}
	return r
}

// targetRecord notes the epoch of the target; below 0 it is a tombstone.
func targetRecord(group string, epoch int32) record {
	r := record{key: consumerKey(kindTarget, group, "")}
	if epoch >= 0 {
		r.value = append(appendInt32(appendInt16(nil, 0), epoch), 0)
	}
	return r
}

// targetMemberRecord notes a member's share of the target; nil is a tombstone.
func targetMemberRecord(group, member string, a assignment) record {
	r := record{key: consumerKey(kindTargetMember, group, member)}
	if a != nil {
		r.value = append(appendAssignment(appendInt16(nil, 0), a), 0)
	}
	return r
}

// consumerMemberRecord notes who a member is and what it wants; nil is a tombstone.
func consumerMemberRecord(group, member string, m *consumerMember) record {
	r := record{key: consumerKey(kindConsumerMember, group, member)}
	if m == nil {
		return r
	}
	b := appendInt16(nil, 0)
	b = appendOptional(b, m.instance)
	b = appendOptional(b, m.rack)
	b = appendString(b, true, []byte(m.clientID))
	b = appendString(b, true, []byte(m.host))
	b = appendArrayLen(b, true, len(m.names))
	for _, n := range m.names {
		b = appendString(b, true, []byte(n))
	}
	b = appendNullableString(b, true, m.pattern)
	b = appendInt32(b, int32(m.rebalance.Milliseconds()))
	b = appendNullableString(b, true, m.assignor)
	r.value = appendClassicMember(b, m.classic)
	return r
}

// appendClassicMember appends the tagged fields of a member: of one of the classic protocol the field of tag 0.
func appendClassicMember(b []byte, m *classicMember) []byte {
	if m == nil {
		return append(b, 0)
	}
	v := appendInt32([]byte{1}, int32(m.session.Milliseconds())) // 1: it is not null
	v = appendArrayLen(v, true, len(m.protocols))
	for _, p := range m.protocols {
		v = appendString(v, true, []byte(p.name))
		v = append(appendString(v, true, p.metadata), 0)
	}
	v = append(v, 0)
	b = append(b, 1, 0)
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// classicMember reads the tagged fields of a member.
func (c *cursor) classicMember() (m *classicMember) {
	for n := c.uvarint(); n > 0 && !c.bad; n-- {
		tag := c.uvarint()
		v := cursor{b: c.take(int(c.uvarint()))}
		if tag != 0 || v.int8() != 1 {
			continue
		}
		m = &classicMember{session: time.Duration(v.int32()) * time.Millisecond}
		for k := max(v.arrayLen(true, 3), 0); k > 0 && !v.bad; k-- {
			p := groupProtocol{string(v.str(true)), bytes.Clone(v.bytes(true))}
			m.protocols = append(m.protocols, p)
			v.tags(true)
		}
		if v.bad || len(m.protocols) == 0 {
			m = nil
		}
	}
	return m
}

// consumerTombstones are the records that end a member.
func consumerTombstones(group, member string) []record {
	return []record{currentRecord(group, member, nil), targetMemberRecord(group, member, nil), consumerMemberRecord(group, member, nil)}
}

// currentRecord notes what a member has; nil is a tombstone.
func currentRecord(group, member string, m *consumerMember) record {
	r := record{key: consumerKey(kindCurrent, group, member)}
	if m == nil {
		return r
	}
	b := appendInt16(nil, 0)
	b = appendInt32(b, m.epoch)
	b = appendInt32(b, m.previous)
	b = append(b, byte(m.state))
	b = appendAssignment(b, m.assigned)
	b = appendAssignment(b, m.revoking)
	r.value = append(b, 0)
	return r
}

func appendOptional(b []byte, s *string) []byte {
	if s == nil {
		return append(b, 0)
	}
	return appendString(b, true, []byte(*s))
}

func appendAssignment(b []byte, a assignment) []byte {
	b = appendArrayLen(b, true, len(a))
	for _, id := range slices.SortedFunc(maps.Keys(a), func(x, y [16]byte) int { return slices.Compare(x[:], y[:]) }) {
		b = append(b, id[:]...)
		b = appendArrayLen(b, true, len(a[id]))
		for _, p := range a[id] {
			b = appendInt32(b, p)
		}
		b = append(b, 0)
	}
	return b
}

func (c *cursor) optional() *string {
	// A null string and an empty one differ by their first byte.
	if len(c.b) > 0 && c.b[0] == 0 {
		c.take(1)
		return nil
	}
	s := string(c.str(true))
	return &s
}

func (c *cursor) assignment() assignment {
	a := assignment{}
	for n := max(c.arrayLen(true, 18), 0); n > 0 && !c.bad; n-- {
		id := c.uuid()
		for k := max(c.arrayLen(true, 4), 0); k > 0 && !c.bad; k-- {
			a[id] = append(a[id], c.int32())
		}
		slices.Sort(a[id])
		c.tags(true)
	}
	return a
}

// replayConsumer takes in one record of these kinds. What it cannot read it passes over.
func (gs *groups) replayConsumer(kind int16, r record) {
	key := cursor{b: r.key[2:]}
	id := string(key.str(false))
	member := ""
	if kind == kindConsumerMember || kind == kindTargetMember || kind == kindCurrent {
		member = string(key.str(false))
	}
	if key.bad || id == "" {
		return
	}
	g := gs.byID[id]
	if g == nil || g.consumer == nil {
		if r.value == nil {
			return
		}
		g = gs.replayGroup(id)
		g.restore(nil)
		g.consumer, g.protocolType = newConsumerGroup(), consumerProtocol
	}
	cg := g.consumer
	if r.value == nil {
		gs.replayTombstone(g, kind, member)
		return
	}
	c := cursor{b: r.value}
	if c.int16() != 0 {
		return
	}
	switch kind {
	case kindConsumerGroup:
		if epoch := c.int32(); !c.bad {
			cg.epoch = epoch
		}
	case kindTarget:
		if epoch := c.int32(); !c.bad {
			cg.targetEpoch = epoch
		}
	case kindTargetMember:
		if a := c.assignment(); !c.bad {
			cg.target[member] = a
		}
	case kindConsumerMember:
		m := gs.replayMember(cg, member)
		m.instance, m.rack = c.optional(), c.optional()
		m.clientID, m.host = string(c.str(true)), string(c.str(true))
		m.names = nil
		for n := max(c.arrayLen(true, 1), 0); n > 0 && !c.bad; n-- {
			m.names = append(m.names, string(c.str(true)))
		}
		slices.Sort(m.names)
		m.pattern, m.regex = "", nil
		if p := c.optional(); p != nil {
			m.pattern = *p
			m.regex, _ = regexp.Compile(wholePattern(*p))
		}
		m.rebalance = time.Duration(c.int32()) * time.Millisecond
		m.assignor = ""
		if p := c.optional(); p != nil {
			m.assignor = *p
		}
		m.classic = c.classicMember()
		if m.instance != nil {
			cg.static[*m.instance] = member
		}
	case kindCurrent:
		m := gs.replayMember(cg, member)
		cg.release(m)
		m.epoch, m.previous, m.state = c.int32(), c.int32(), memberState(c.int8())
		m.assigned, m.revoking = c.assignment(), c.assignment()
		cg.hold(m)
	}
}

func (gs *groups) replayMember(cg *consumerGroup, id string) *consumerMember {
	m := cg.members[id]
	if m == nil {
		m = &consumerMember{id: id}
		cg.members[id] = m
	}
	return m
}

func (gs *groups) replayTombstone(g *group, kind int16, member string) {
	cg := g.consumer
	switch kind {
	case kindConsumerGroup:
		g.consumer, g.protocolType = nil, ""
	case kindTargetMember:
		delete(cg.target, member)
	case kindConsumerMember:
		if m := cg.members[member]; m != nil {
			cg.release(m)
			delete(cg.members, member)
			if m.instance != nil && cg.static[*m.instance] == member {
				delete(cg.static, *m.instance)
			}
		}
	case kindCurrent:
		if m := cg.members[member]; m != nil {
			cg.release(m)
			m.assigned, m.revoking, m.epoch, m.state = nil, nil, 0, memberStable
		}
	}
}

// wakeConsumers begins the sessions of members that were there before, in a locked group that has been read whole.
func (g *group) wakeConsumers() {
	cg := g.consumer
	cg.topics = g.subscribedTopics()
	cg.changes = g.gs.b.topics.changes.Load()
	for _, m := range cg.members {
		g.gs.weighConsumer(m)
		g.consumerAlive(m)
		g.watchRevocation(m)
	}
	g.state = cg.consumerState()
}

// recordKind is the kind of a record, by its key.
func recordKind(key []byte) int16 {
	if len(key) < 2 {
		return -1
	}
	return int16(binary.BigEndian.Uint16(key))
}
