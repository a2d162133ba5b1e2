package broker_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

func deleteRecords(version int16, topic string, partition int32, offset int64) *kmsg.DeleteRecordsRequest {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.SetVersion(version)
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewDeleteRecordsRequestTopicPartition()
	rp.Partition, rp.Offset = partition, offset
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

func TestDeleteRecords(t *testing.T) {
	cfg := testConfig(t)
	b, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cl := client(t, b)
	adm := kadm.NewClient(cl)
	ctx := deadline(t)
	remove, compact, both := "delete", "compact", "compact,delete"
	for name, policy := range map[string]*string{"flows": &remove, "state": &compact, "both": &both} {
		if _, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"cleanup.policy": policy}, name); err != nil {
			t.Fatal(err)
		}
		produce(t, cl, name, "v", 10)
	}
	c := rawDial(t, b)
	for _, tc := range []struct {
		name      string
		version   int16
		topic     string
		partition int32
		offset    int64
		low       int64
		err       error
	}{
		{"a few", 0, "flows", 0, 3, 3, nil},
		{"fewer than are gone", 1, "flows", 0, 1, 3, nil},
		{"beyond the high watermark", 2, "flows", 0, 11, -1, kerr.OffsetOutOfRange},
		{"below zero", 2, "flows", 0, -2, -1, kerr.OffsetOutOfRange},
		{"no such partition", 2, "flows", 1, 0, -1, kerr.UnknownTopicOrPartition},
		{"no such topic", 2, "none", 0, 0, -1, kerr.UnknownTopicOrPartition},
		{"the broker's own", 2, "__consumer_offsets", 0, 0, -1, kerr.UnknownTopicOrPartition},
		{"compacted", 2, "state", 0, 3, -1, kerr.PolicyViolation},
		{"compacted and deleted", 2, "both", 0, 3, 3, nil},
		{"up to the high watermark", 2, "flows", 0, -1, 10, nil},
	} {
		resp := c.request(deleteRecords(tc.version, tc.topic, tc.partition, tc.offset)).(*kmsg.DeleteRecordsResponse)
		p := resp.Topics[0].Partitions[0]
		if p.LowWatermark != tc.low || kerr.ErrorForCode(p.ErrorCode) != tc.err || p.Partition != tc.partition {
			t.Errorf("%s: low watermark %d, %v", tc.name, p.LowWatermark, kerr.ErrorForCode(p.ErrorCode))
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, cfg)
	starts, err := kadm.NewClient(client(t, b)).ListStartOffsets(ctx, "flows", "both")
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]int64{"flows": 10, "both": 3} {
		if o, ok := starts.Lookup(topic, 0); !ok || o.Err != nil || o.Offset != want {
			t.Errorf("%s begins at %d after a restart, want %d", topic, o.Offset, want)
		}
	}
}
