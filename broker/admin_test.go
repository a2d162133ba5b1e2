package broker_test

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestAdmin has the small requests of tools answered as one node can.
func TestAdmin(t *testing.T) {
	cfg := testConfig(t)
	b := open(t, cfg)
	cl := client(t, b)
	adm := kadm.NewClient(cl)
	ctx := deadline(t)
	for _, name := range []string{"a", "b", "c"} {
		if _, err := adm.CreateTopic(ctx, 3, 1, nil, name); err != nil {
			t.Fatal(err)
		}
	}
	produce(t, cl, "a", "v", 100)

	// AlterConfigs names all that is set afterwards.
	set := func(name, value string) kadm.AlterConfig { return kadm.AlterConfig{Name: name, Value: &value} }
	for _, configs := range [][]kadm.AlterConfig{{set("retention.ms", "1000"), set("segment.ms", "2000")}, {set("segment.ms", "3000")}} {
		if res, err := adm.AlterTopicConfigsState(ctx, configs, "a"); err != nil || res[0].Err != nil {
			t.Fatalf("alter: %+v, %v", res, err)
		}
	}
	if res, err := adm.AlterTopicConfigsState(ctx, []kadm.AlterConfig{set("no.such", "1")}, "a"); err != nil || res[0].Err == nil {
		t.Errorf("a config there is none of: %+v, %v", res, err)
	}
	configs, err := adm.DescribeTopicConfigs(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range configs[0].Configs {
		switch {
		case c.Key == "retention.ms" && c.Source != kmsg.ConfigSourceDefaultConfig, c.Key == "segment.ms" && c.MaybeValue() != "3000":
			t.Errorf("%+v", c)
		}
	}

	dirs, err := adm.DescribeAllLogDirs(ctx, nil)
	if err != nil || len(dirs[1]) != 1 {
		t.Fatalf("log dirs: %+v, %v", dirs, err)
	}
	dir := dirs[1][cfg.DataDir]
	size := int64(0)
	for _, p := range dir.Topics["a"] {
		size += p.Size
	}
	if len(dir.Topics) != 3 || size == 0 || dir.Err != nil {
		t.Errorf("log dir: %+v", dir)
	}

	c := rawDial(t, b)
	logDirs := kmsg.NewPtrDescribeLogDirsRequest()
	logDirs.SetVersion(4)
	one := kmsg.NewDescribeLogDirsRequestTopic()
	one.Topic, one.Partitions = "b", []int32{1, 9}
	logDirs.Topics = append(logDirs.Topics, one)
	if r := c.request(logDirs).(*kmsg.DescribeLogDirsResponse).Dirs[0]; r.TotalBytes < r.UsableBytes || r.UsableBytes <= 0 || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		t.Errorf("one partition: %+v", r)
	}
	move := kmsg.NewPtrAlterReplicaLogDirsRequest()
	move.SetVersion(2)
	for _, path := range []string{cfg.DataDir, "/elsewhere"} {
		d := kmsg.NewAlterReplicaLogDirsRequestDir()
		rt := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		rt.Topic, rt.Partitions = "a", []int32{0, 9}
		d.Dir, d.Topics = path, append(d.Topics, rt)
		move.Dirs = append(move.Dirs, d)
	}
	r := c.request(move).(*kmsg.AlterReplicaLogDirsResponse).Topics
	if len(r) != 2 || r[0].Partitions[0].ErrorCode != 0 || r[0].Partitions[1].ErrorCode != 3 || r[1].Partitions[0].ErrorCode != 57 {
		t.Errorf("move: %+v", r)
	}

	elect := kmsg.NewPtrElectLeadersRequest()
	elect.SetVersion(2)
	if r := c.request(elect).(*kmsg.ElectLeadersResponse); r.ErrorCode != 0 || len(r.Topics) != 0 {
		t.Errorf("elect all: %+v", r)
	}
	et := kmsg.NewElectLeadersRequestTopic()
	et.Topic, et.Partitions = "a", []int32{0, 9}
	elect.Topics = append(elect.Topics, et)
	if r := c.request(elect).(*kmsg.ElectLeadersResponse).Topics[0].Partitions; r[0].ErrorCode != 84 || r[1].ErrorCode != 3 {
		t.Errorf("elect: %+v", r)
	}

	assign := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	at := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	at.Topic = "a"
	for i, replicas := range [][]int32{{1}, {2}, nil, {1}} {
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition, p.Replicas = int32(i), replicas
		at.Partitions = append(at.Partitions, p)
	}
	assign.Topics = append(assign.Topics, at)
	for i, want := range []int16{0, 39, 85, 3} {
		if r := c.request(assign).(*kmsg.AlterPartitionAssignmentsResponse).Topics[0].Partitions[i]; r.ErrorCode != want {
			t.Errorf("reassign: %+v, want error %d", r, want)
		}
	}
	if r := c.request(kmsg.NewPtrListPartitionReassignmentsRequest()).(*kmsg.ListPartitionReassignmentsResponse); r.ErrorCode != 0 || len(r.Topics) != 0 {
		t.Errorf("reassignments: %+v", r)
	}

	list := kmsg.NewPtrListConfigResourcesRequest()
	for types, want := range map[string]int{"": 4, "\x02": 3, "\x04": 1, "\x20": 0} {
		list.SetVersion(1)
		list.ResourceTypes = nil
		for _, typ := range []byte(types) {
			list.ResourceTypes = append(list.ResourceTypes, int8(typ))
		}
		if r := c.request(list).(*kmsg.ListConfigResourcesResponse); r.ErrorCode != 0 || len(r.ConfigResources) != want {
			t.Errorf("config resources of %q: %+v, want %d", types, r, want)
		}
	}
	list.ResourceTypes = []int8{3}
	if r := c.request(list).(*kmsg.ListConfigResourcesResponse); r.ErrorCode != 35 {
		t.Errorf("config resources of a type there is none of: %+v", r)
	}
}

// TestDescribeTopicPartitions walks all partitions in pages of every size.
func TestDescribeTopicPartitions(t *testing.T) {
	b := open(t, testConfig(t))
	adm := kadm.NewClient(client(t, b))
	for i, name := range []string{"a", "b", "c"} {
		if _, err := adm.CreateTopic(deadline(t), int32(i+2), 1, nil, name); err != nil {
			t.Fatal(err)
		}
	}
	c := rawDial(t, b)
	for limit := int32(1); limit <= 10; limit++ {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit = limit
		seen := make(map[string][]int32)
		for pages := 0; ; pages++ {
			r := c.request(req).(*kmsg.DescribeTopicPartitionsResponse)
			n := int32(0)
			for _, rt := range r.Topics {
				if rt.ErrorCode != 0 {
					t.Fatalf("%+v", rt)
				}
				for _, p := range rt.Partitions {
					if p.LeaderID != 1 || len(p.ISR) != 1 {
						t.Errorf("%s: %+v", *rt.Topic, p)
					}
					seen[*rt.Topic] = append(seen[*rt.Topic], p.Partition)
					n++
				}
			}
			if n > limit || pages > 20 {
				t.Fatalf("page %d has %d partitions, %d are allowed", pages, n, limit)
			}
			if r.NextCursor == nil {
				break
			}
			req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: r.NextCursor.Topic, Partition: r.NextCursor.Partition}
		}
		for i, name := range []string{"a", "b", "c"} {
			for j, p := range seen[name] {
				if p != int32(j) {
					t.Errorf("limit %d: %s has partitions %v", limit, name, seen[name])
				}
			}
			if len(seen[name]) != i+2 {
				t.Errorf("limit %d: %s has partitions %v", limit, name, seen[name])
			}
		}
	}
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	none := kmsg.NewDescribeTopicPartitionsRequestTopic()
	none.Topic = "none"
	req.Topics = append(req.Topics, none)
	if r := c.request(req).(*kmsg.DescribeTopicPartitionsResponse); r.Topics[0].ErrorCode != 3 {
		t.Errorf("no such topic: %+v", r)
	}
}

// TestBrokerConfigs changes the broker's configs while it runs, for the one broker and for all, and finds them in force at once
// and after a restart.
func TestBrokerConfigs(t *testing.T) {
	cfg := testConfig(t)
	b := open(t, cfg)
	adm := kadm.NewClient(client(t, b))
	ctx := deadline(t)
	if _, err := adm.CreateTopic(ctx, 1, 1, nil, "plain"); err != nil {
		t.Fatal(err)
	}
	own := "5000"
	if _, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"max.message.bytes": &own}, "own"); err != nil {
		t.Fatal(err)
	}
	alter := func(op kadm.IncrementalOp, name, value string, ids ...int32) error {
		res, err := adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: name, Value: &value}}, ids...)
		if err == nil {
			err = res[0].Err
		}
		return err
	}
	for _, err := range []error{
		alter(kadm.SetConfig, "message.max.bytes", "2000"),
		alter(kadm.SetConfig, "log.retention.ms", "1000000"),
		alter(kadm.SetConfig, "log.retention.ms", "2000000", 1),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"message.max.bytes": "x", "log.segment.bytes": "1", "max.connections": "0", "node.id": "2", "no.such.config": "1",
	} {
		if err := alter(kadm.SetConfig, name, value, 1); err == nil {
			t.Errorf("%s=%s is taken", name, value)
		}
	}
	if err := alter(kadm.SetConfig, "message.max.bytes", "2000000000", 1); err == nil {
		t.Error("a batch may be larger than a request")
	}
	// Kafka's tool for reassignments takes these away whether they are set or not.
	for _, name := range []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate", "replica.alter.log.dirs.io.max.bytes.per.second"} {
		if err := errors.Join(alter(kadm.DeleteConfig, name, "", 1), alter(kadm.SetConfig, name, "1000", 1), alter(kadm.DeleteConfig, name, "", 1)); err != nil {
			t.Error(err)
		}
	}
	describe := func(ids ...int32) map[string]kadm.Config {
		t.Helper()
		res, err := adm.DescribeBrokerConfigs(ctx, ids...)
		if err != nil || len(res) != 1 || res[0].Err != nil {
			t.Fatalf("describe: %+v, %v", res, err)
		}
		all := make(map[string]kadm.Config)
		for _, c := range res[0].Configs {
			all[c.Key] = c
		}
		return all
	}
	check := func() {
		t.Helper()
		one, all := describe(1), describe()
		if c := one["log.retention.ms"]; c.MaybeValue() != "2000000" || c.Source != kmsg.ConfigSourceDynamicBrokerConfig || len(c.Synonyms) != 3 {
			t.Errorf("of the broker: %+v", c)
		}
		if c := one["message.max.bytes"]; c.MaybeValue() != "2000" || c.Source != kmsg.ConfigSourceDynamicDefaultBrokerConfig {
			t.Errorf("of the broker: %+v", c)
		}
		if c := one["log.segment.bytes"]; c.MaybeValue() != "1073741824" || c.Source != kmsg.ConfigSourceDefaultConfig {
			t.Errorf("of the broker: %+v", c)
		}
		if len(all) != 2 || all["log.retention.ms"].Value == nil || *all["log.retention.ms"].Value != "1000000" {
			t.Errorf("of all: %+v", all)
		}
		topics, err := adm.DescribeTopicConfigs(ctx, "plain")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range topics[0].Configs {
			if c.Key == "retention.ms" && c.MaybeValue() != "2000000" || c.Key == "max.message.bytes" && c.MaybeValue() != "2000" {
				t.Errorf("of the topic: %+v", c)
			}
		}
		c := rawDial(t, b)
		for topic, want := range map[string]int16{"plain": 10, "own": 0} {
			if r := c.request(produceRequest(9, -1, topic, 0, goodBatch(3, 1000))).(*kmsg.ProduceResponse); r.Topics[0].Partitions[0].ErrorCode != want {
				t.Errorf("3 KB to %s: %+v, want error %d", topic, r.Topics[0].Partitions[0], want)
			}
		}
	}
	check()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, cfg)
	adm = kadm.NewClient(client(t, b))
	check()
	if err := alter(kadm.DeleteConfig, "message.max.bytes", ""); err != nil {
		t.Error(err)
	}
	if c := describe(1)["message.max.bytes"]; c.MaybeValue() != "1048588" || c.Source != kmsg.ConfigSourceDefaultConfig {
		t.Errorf("taken out: %+v", c)
	}
	if err := alter(kadm.SetConfig, "message.max.bytes", "2000"); err != nil {
		t.Error(err)
	}
	if err := alter(kadm.SetConfig, "max.connections", "1", 1); err != nil {
		t.Fatal(err)
	}
	rawDial(t, b).checkClosed("one connection too many")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	// What does not go with the options of a later start does not stop it.
	cfg.MaxRequestBytes, cfg.MaxMessageBytes = 1500, 1400
	b = open(t, cfg)
	adm = kadm.NewClient(client(t, b))
	if c := describe(1)["message.max.bytes"]; c.MaybeValue() != "1400" {
		t.Errorf("after a start with smaller requests: %+v", c)
	}
}
