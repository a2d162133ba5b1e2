package dumplog

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// decoder makes JSON of a record of an internal topic, as Kafka's DumpLogSegments has it; value is without meaning where
// there is none. ok is false for a key that it does not know or cannot read.
type decoder func(key, value []byte) (keyJSON, valueJSON string, ok bool)

// typed is a key or a value with the version of its schema, which for keys is their kind.
type typed struct {
	Type    string `json:"type,omitempty"`
	Version string `json:"version,omitempty"`
	Data    any    `json:"data"`
}

func both(kind uint16, key any, value []byte, decode func() (any, error)) (string, string, bool) {
	k, err := json.Marshal(typed{Type: strconv.Itoa(int(kind)), Data: key})
	if err != nil {
		return "", "", false
	}
	if value == nil {
		return string(k), "", true
	}
	if len(value) < 2 {
		return "", "", false
	}
	data, err := decode()
	if err != nil {
		return "", "", false
	}
	v, err := json.Marshal(typed{Version: strconv.Itoa(int(binary.BigEndian.Uint16(value))), Data: data})
	return string(k), string(v), err == nil
}

// decodeOffsets reads __consumer_offsets: committed offsets (kinds 0 and 1), classic groups (2) and those of KIP-848 (3 to 8
// and 16). What is of other kinds, of share and streams groups, has its bytes in base64.
func decodeOffsets(key, value []byte) (string, string, bool) {
	if len(key) < 2 {
		return "", "", false
	}
	switch kind := binary.BigEndian.Uint16(key); kind {
	case 0, 1:
		var k kmsg.OffsetCommitKey
		if k.ReadFrom(key) != nil {
			return "", "", false
		}
		return both(kind, struct {
			Group     string `json:"group"`
			Topic     string `json:"topic"`
			Partition int32  `json:"partition"`
		}{k.Group, k.Topic, k.Partition}, value, func() (any, error) { return commitOf(value) })
	case 2:
		var k kmsg.GroupMetadataKey
		if k.ReadFrom(key) != nil {
			return "", "", false
		}
		return both(kind, struct {
			Group string `json:"group"`
		}{k.Group}, value, func() (any, error) { return groupOf(value) })
	default:
		if k, ok := groupKeyOf(kind, key[2:]); ok {
			return both(kind, k, value, func() (any, error) { return groupRecordOf(kind, value) })
		}
		return both(kind, base64.StdEncoding.EncodeToString(key[2:]), value, func() (any, error) {
			return base64.StdEncoding.EncodeToString(value[2:]), nil
		})
	}
}

type commit struct {
	Offset          int64  `json:"offset"`
	LeaderEpoch     *int32 `json:"leaderEpoch,omitempty"`
	Metadata        string `json:"metadata"`
	CommitTimestamp int64  `json:"commitTimestamp"`
	ExpireTimestamp *int64 `json:"expireTimestamp,omitempty"`
}

func commitOf(value []byte) (any, error) {
	var v kmsg.OffsetCommitValue
	if err := v.ReadFrom(value); err != nil {
		return nil, err
	}
	c := commit{Offset: v.Offset, Metadata: v.Metadata, CommitTimestamp: v.CommitTimestamp}
	if v.Version >= 3 {
		c.LeaderEpoch = &v.LeaderEpoch
	}
	if v.Version == 1 {
		c.ExpireTimestamp = &v.ExpireTimestamp
	}
	return c, nil
}

type group struct {
	ProtocolType          string   `json:"protocolType"`
	Generation            int32    `json:"generation"`
	Protocol              *string  `json:"protocol"`
	Leader                *string  `json:"leader"`
	CurrentStateTimestamp *int64   `json:"currentStateTimestamp,omitempty"`
	Members               []member `json:"members"`
}

type member struct {
	MemberID         string  `json:"memberId"`
	GroupInstanceID  *string `json:"groupInstanceId"`
	ClientID         string  `json:"clientId"`
	ClientHost       string  `json:"clientHost"`
	RebalanceTimeout int32   `json:"rebalanceTimeout"`
	SessionTimeout   int32   `json:"sessionTimeout"`
	Subscription     any     `json:"subscription"`
	Assignment       any     `json:"assignment"`
}

func groupOf(value []byte) (any, error) {
	var v kmsg.GroupMetadataValue
	if err := v.ReadFrom(value); err != nil {
		return nil, err
	}
	g := group{ProtocolType: v.ProtocolType, Generation: v.Generation, Protocol: v.Protocol, Leader: v.Leader, Members: []member{}}
	if v.Version >= 2 {
		g.CurrentStateTimestamp = &v.CurrentStateTimestamp
	}
	for _, m := range v.Members {
		out := member{
			MemberID: m.MemberID, GroupInstanceID: m.InstanceID, ClientID: m.ClientID, ClientHost: m.ClientHost,
			RebalanceTimeout: m.RebalanceTimeoutMillis, SessionTimeout: m.SessionTimeoutMillis,
			Subscription: m.Subscription, Assignment: m.Assignment, // base64, where they are not a consumer's
		}
		if v.ProtocolType == "consumer" {
			out.Subscription, out.Assignment = subscriptionOf(m.Subscription), assignmentOf(m.Assignment)
		}
		g.Members = append(g.Members, out)
	}
	return g, nil
}

type topicPartitions struct {
	Topic      string  `json:"topic"`
	Partitions []int32 `json:"partitions"`
}

type subscription struct {
	Topics          []string           `json:"topics"`
	UserData        []byte             `json:"userData"`
	OwnedPartitions *[]topicPartitions `json:"ownedPartitions,omitempty"`
	GenerationID    *int32             `json:"generationId,omitempty"`
}

// rackedSubscription is one of version 3, whose rack may be null.
type rackedSubscription struct {
	subscription
	RackID *string `json:"rackId"`
}

func subscriptionOf(b []byte) any {
	var v kmsg.ConsumerMemberMetadata
	if len(b) == 0 || v.ReadFrom(b) != nil {
		return b
	}
	s := subscription{Topics: append([]string{}, v.Topics...), UserData: v.UserData}
	if v.Version >= 1 {
		owned := []topicPartitions{}
		for _, o := range v.OwnedPartitions {
			owned = append(owned, topicPartitions{o.Topic, append([]int32{}, o.Partitions...)})
		}
		s.OwnedPartitions = &owned
	}
	if v.Version >= 2 {
		s.GenerationID = &v.Generation
	}
	if v.Version >= 3 {
		return rackedSubscription{s, v.Rack}
	}
	return s
}

func assignmentOf(b []byte) any {
	var v kmsg.ConsumerMemberAssignment
	if len(b) == 0 || v.ReadFrom(b) != nil {
		return b
	}
	out := struct {
		AssignedPartitions []topicPartitions `json:"assignedPartitions"`
		UserData           []byte            `json:"userData"`
	}{[]topicPartitions{}, v.UserData}
	for _, t := range v.Topics {
		out.AssignedPartitions = append(out.AssignedPartitions, topicPartitions{t.Topic, append([]int32{}, t.Partitions...)})
	}
	return out
}

type partitionIDs struct {
	Topic        string  `json:"topic"`
	PartitionIDs []int32 `json:"partitionIds"`
}

type transaction struct {
	ProducerID               int64          `json:"producerId"`
	PreviousProducerID       *int64         `json:"previousProducerId,omitempty"`
	NextProducerID           *int64         `json:"nextProducerId,omitempty"`
	ProducerEpoch            int16          `json:"producerEpoch"`
	NextProducerEpoch        *int16         `json:"nextProducerEpoch,omitempty"`
	TimeoutMs                int32          `json:"transactionTimeoutMs"`
	Status                   int8           `json:"transactionStatus"`
	Partitions               []partitionIDs `json:"transactionPartitions"`
	LastUpdateMs             int64          `json:"transactionLastUpdateTimestampMs"`
	StartMs                  int64          `json:"transactionStartTimestampMs"`
	ClientTransactionVersion int16          `json:"clientTransactionVersion,omitempty"`
}

// decodeTransactions reads __transaction_state.
func decodeTransactions(key, value []byte) (string, string, bool) {
	var k kmsg.TxnMetadataKey
	if len(key) < 2 || binary.BigEndian.Uint16(key) != 0 || k.ReadFrom(key) != nil {
		return "", "", false
	}
	return both(0, struct {
		TransactionalID string `json:"transactionalId"`
	}{k.TransactionalID}, value, func() (any, error) {
		var v kmsg.TxnMetadataValue
		if err := v.ReadFrom(value); err != nil {
			return nil, fmt.Errorf("transaction %s: %w", k.TransactionalID, err)
		}
		t := transaction{
			ProducerID: v.ProducerID, ProducerEpoch: v.ProducerEpoch, TimeoutMs: v.TimeoutMillis, Status: int8(v.State),
			LastUpdateMs: v.LastUpdateTimestamp, StartMs: v.StartTimestamp, ClientTransactionVersion: v.ClientTransactionVersion,
		}
		if v.PreviousProducerID != -1 {
			t.PreviousProducerID = &v.PreviousProducerID
		}
		if v.NextProducerID != -1 {
			t.NextProducerID = &v.NextProducerID
		}
		if v.NextProducerEpoch != -1 {
			t.NextProducerEpoch = &v.NextProducerEpoch
		}
		for _, p := range v.Topics {
			t.Partitions = append(t.Partitions, partitionIDs{p.Topic, append([]int32{}, p.Partitions...)})
		}
		return t, nil
	})
}
