package dumplog

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
)

// The kinds of records of a group of KIP-848 in __consumer_offsets (Kafka's CoordinatorRecordType), in Kafka's schemas.
const (
	kindGroup             = 3
	kindPartitionMetadata = 4 // of Kafka 4.0; later ones only remove it
	kindMember            = 5
	kindTarget            = 6
	kindTargetMember      = 7
	kindCurrent           = 8
	kindPattern           = 16
)

type groupKey struct {
	GroupID  string  `json:"groupId"`
	MemberID *string `json:"memberId,omitempty"`
	Pattern  *string `json:"regularExpression,omitempty"`
}

// groupKeyOf reads a key without its kind; false for kinds that are none of these.
func groupKeyOf(kind uint16, b []byte) (groupKey, bool) {
	r := reader{b: b}
	k := groupKey{GroupID: r.text(int(r.uint(2)))}
	switch kind {
	case kindGroup, kindPartitionMetadata, kindTarget:
	case kindMember, kindTargetMember, kindCurrent:
		s := r.text(int(r.uint(2)))
		k.MemberID = &s
	case kindPattern:
		s := r.text(int(r.uint(2)))
		k.Pattern = &s
	default:
		return k, false
	}
	return k, !r.bad
}

type topicIDPartitions struct {
	TopicID          string  `json:"topicId"`
	Partitions       []int32 `json:"partitions"`
	AssignmentEpochs []int32 `json:"assignmentEpochs,omitempty"`
}

type classicProtocol struct {
	Name     string `json:"name"`
	Metadata []byte `json:"metadata"`
}

type classicMember struct {
	SessionTimeoutMs   int32             `json:"sessionTimeoutMs"`
	SupportedProtocols []classicProtocol `json:"supportedProtocols"`
}

type consumerMember struct {
	InstanceID           *string        `json:"instanceId"`
	RackID               *string        `json:"rackId"`
	ClientID             string         `json:"clientId"`
	ClientHost           string         `json:"clientHost"`
	SubscribedTopicNames []string       `json:"subscribedTopicNames"`
	SubscribedTopicRegex *string        `json:"subscribedTopicRegex"`
	RebalanceTimeoutMs   int32          `json:"rebalanceTimeoutMs"`
	ServerAssignor       *string        `json:"serverAssignor"`
	Classic              *classicMember `json:"classicMemberMetadata,omitempty"`
}

type currentAssignment struct {
	MemberEpoch                 int32               `json:"memberEpoch"`
	PreviousMemberEpoch         int32               `json:"previousMemberEpoch"`
	State                       int8                `json:"state"`
	AssignedPartitions          []topicIDPartitions `json:"assignedPartitions"`
	PartitionsPendingRevocation []topicIDPartitions `json:"partitionsPendingRevocation"`
}

type partitionRacks struct {
	Partition int32    `json:"partition"`
	Racks     []string `json:"racks"`
}

type topicMetadata struct {
	TopicID           string           `json:"topicId"`
	TopicName         string           `json:"topicName"`
	NumPartitions     int32            `json:"numPartitions"`
	PartitionMetadata []partitionRacks `json:"partitionMetadata"`
}

var errShort = errors.New("not in Kafka's schema")

// groupRecordOf reads a value of these kinds.
func groupRecordOf(kind uint16, value []byte) (any, error) {
	r := reader{b: value}
	if r.uint(2) != 0 {
		return nil, errShort
	}
	var v any
	switch kind {
	case kindGroup:
		g := struct {
			Epoch        int32 `json:"epoch"`
			MetadataHash int64 `json:"metadataHash,omitempty"`
		}{Epoch: r.int32()}
		r.tags(func(t *reader) { g.MetadataHash = int64(t.uint(8)) })
		v = g
	case kindPartitionMetadata:
		topics := list(&r, func() topicMetadata {
			m := topicMetadata{TopicID: r.id(), TopicName: r.compact(), NumPartitions: r.int32()}
			m.PartitionMetadata = list(&r, func() partitionRacks {
				p := partitionRacks{Partition: r.int32(), Racks: list(&r, r.compact)}
				r.tags(nil)
				return p
			})
			r.tags(nil)
			return m
		})
		v = map[string]any{"topics": topics}
	case kindMember:
		m := consumerMember{
			InstanceID: r.optional(), RackID: r.optional(), ClientID: r.compact(), ClientHost: r.compact(),
			SubscribedTopicNames: list(&r, r.compact), SubscribedTopicRegex: r.optional(), RebalanceTimeoutMs: r.int32(), ServerAssignor: r.optional(),
		}
		r.tags(func(t *reader) {
			if t.uint(1) != 1 {
				return // null
			}
			m.Classic = &classicMember{SessionTimeoutMs: t.int32()}
			m.Classic.SupportedProtocols = list(t, func() classicProtocol {
				p := classicProtocol{t.compact(), []byte(t.compact())}
				t.tags(nil)
				return p
			})
		})
		v = m
	case kindTarget:
		a := struct {
			AssignmentEpoch     int32 `json:"assignmentEpoch"`
			AssignmentTimestamp int64 `json:"assignmentTimestamp,omitempty"`
		}{AssignmentEpoch: r.int32()}
		r.tags(func(t *reader) { a.AssignmentTimestamp = int64(t.uint(8)) })
		v = a
	case kindTargetMember:
		v = map[string]any{"topicPartitions": r.partitions()}
	case kindCurrent:
		v = currentAssignment{r.int32(), r.int32(), int8(r.uint(1)), r.partitions(), r.partitions()}
	case kindPattern:
		v = struct {
			Topics    []string `json:"topics"`
			Version   int64    `json:"version"`
			Timestamp int64    `json:"timestamp"`
		}{list(&r, r.compact), int64(r.uint(8)), int64(r.uint(8))}
	}
	if r.bad {
		return nil, errShort
	}
	return v, nil
}

// reader reads Kafka's types; what is not there is zero, and sets bad.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// uint reads a number of so many bytes.
func (r *reader) uint(n int) uint64 {
	var v uint64
	for _, c := range r.take(n) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (r *reader) int32() int32      { return int32(r.uint(4)) }
func (r *reader) text(n int) string { return string(r.take(n)) }
func (r *reader) id() string        { return base64.RawURLEncoding.EncodeToString(r.take(16)) }

func (r *reader) uvarint() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > math.MaxInt32 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

// compact reads a string or bytes, null as empty.
func (r *reader) compact() string { return r.text(max(r.uvarint()-1, 0)) }

func (r *reader) optional() *string {
	n := r.uvarint()
	if n == 0 {
		return nil
	}
	s := r.text(n - 1)
	return &s
}

// list reads an array, null as empty.
func list[T any](r *reader, element func() T) []T {
	out := []T{}
	for n := r.uvarint() - 1; n > 0 && !r.bad; n-- {
		out = append(out, element())
	}
	return out
}

// tags reads tagged fields (KIP-482), and has first take the one of tag 0.
func (r *reader) tags(first func(*reader)) {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		tag := r.uvarint()
		t := reader{b: r.take(r.uvarint())}
		if tag == 0 && first != nil && !r.bad {
			first(&t)
			r.bad = r.bad || t.bad
		}
	}
}

func (r *reader) partitions() []topicIDPartitions {
	return list(r, func() topicIDPartitions {
		p := topicIDPartitions{TopicID: r.id(), Partitions: list(r, r.int32)}
		r.tags(func(t *reader) { p.AssignmentEpochs = list(t, t.int32) })
		return p
	})
}
