package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// DefaultPartitions is how many partitions a topic gets that a command creates.
const DefaultPartitions = 4

// TimeRetention returns the topic configuration that keeps records for age, and
// total bytes in all partitions together, whichever comes first; 0 is no limit.
func TimeRetention(age time.Duration, total int64, partitions int32) map[string]string {
	c := map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
	if age > 0 {
		c["retention.ms"] = strconv.FormatInt(max(1, age.Milliseconds()), 10)
	}
	if total > 0 {
		c["retention.bytes"] = strconv.FormatInt(max(1, total/int64(max(1, partitions))), 10)
	}
	return c
}

// Compacted returns the topic configuration that keeps the last record of each key.
func Compacted() map[string]string { return map[string]string{"cleanup.policy": "compact"} }

// EnsureTopic creates a topic if the cluster does not have it, and reports whether
// it did. The replication factor is the cluster's own; an old cluster that asks
// for a number gets 1. A topic that is there already stays as it is, partitions
// and configuration too.
func EnsureTopic(ctx context.Context, client *kgo.Client, name string, partitions int32, configs map[string]string) (created bool, err error) {
	if err := CheckTopic(name); err != nil {
		return false, err
	}
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx, name)
	if err != nil {
		return false, fmt.Errorf("look for topic %s: %w", name, err)
	}
	if t, ok := topics[name]; ok && t.Err == nil {
		return false, nil
	}
	err = CreateTopic(ctx, client, name, partitions, -1, configs)
	if errors.Is(err, kerr.TopicAlreadyExists) { // somebody was faster
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// What produces next must not find the knowledge that the topic is missing.
	client.ForceMetadataRefresh()
	return true, nil
}

// CreateTopic creates a topic. partitions and replication -1 mean the cluster's
// defaults; a cluster too old to have any (before KIP-464) gets 1.
func CreateTopic(ctx context.Context, client *kgo.Client, name string, partitions int32, replication int16, configs map[string]string) error {
	cfg := map[string]*string{}
	for k, v := range configs {
		cfg[k] = &v
	}
	admin := kadm.NewClient(client)
	r, err := admin.CreateTopic(ctx, partitions, replication, cfg, name)
	if err == nil {
		err = r.Err
	}
	if replication == -1 && (errors.Is(err, kerr.InvalidReplicationFactor) || errors.Is(err, kerr.UnsupportedVersion) || errors.Is(err, kerr.InvalidPartitions)) {
		r, err = admin.CreateTopic(ctx, max(1, partitions), 1, cfg, name)
		if err == nil {
			err = r.Err
		}
	}
	if err != nil {
		return fmt.Errorf("create topic %s: %w%s", name, err, detail(r.ErrMessage))
	}
	return nil
}

// detail is what the broker adds to an error code.
func detail(message string) string {
	if message == "" {
		return ""
	}
	return " (" + message + ")"
}
