package main

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// clusterTrial is a trial with three nodes of Apache Kafka.
type clusterTrial struct {
	*trial
	cluster *apacheCluster
}

// TestWireCluster: three nodes of Apache Kafka, replication of 3 with at least 2 in
// sync. Nodes are killed and start again, leaders move, partitions are added, the
// limit of a message falls, the permission to write is taken away, and the way to the
// nodes breaks in all the ways that it can. Nothing acknowledged is missing, nothing
// is there twice, and in each partition flows are in order.
func TestWireCluster(t *testing.T) {
	ct := startCluster(t)
	ct.begin(clusterEndpoint, 4000)
	ct.run(slices.Concat(ct.connectionFaults(2000), ct.topicFaults(4000, 10_000), ct.faults()))
	ct.inSync()
	ct.end()
}

// clusterEndpoint are the properties of the collector's endpoints.
const clusterEndpoint = "request.timeout.ms=2000&sasl.mechanism=PLAIN&sasl.username=collector&sasl.password=secret&"

// startCluster starts the nodes, and makes topics that the collector may write to.
func startCluster(t *testing.T) *clusterTrial {
	t.Helper()
	tr := &trial{t: t, rng: seeded(t), workers: 1, patience: 4 * patience}
	for range 3 {
		tr.proxies = append(tr.proxies, newProxy(t, ""))
	}
	// The test comes by PLAINTEXT and may do everything, the collector by WAY, through
	// the proxies, as a user.
	cluster := startApache(t, 3, func(node, port int) string {
		tr.proxies[node-1].aim(fmt.Sprintf("127.0.0.1:%d", port+2))
		return fmt.Sprintf(`
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d,WAY://127.0.0.1:%[3]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d,WAY://%[4]s
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,WAY:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.way.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_collector="secret";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=5000
min.insync.replicas=2
`, port, port+1, port+2, tr.proxies[node-1].addr)
	})
	tr.administer(cluster.brokers)
	ct := &clusterTrial{trial: tr, cluster: cluster}
	for _, d := range []destination{
		{topic: "plain"},
		{topic: "squeezed", properties: "compression.type=lz4"},
		{topic: "keyed", properties: "key=src_addr", keyed: true},
		{topic: "both", properties: "compression.type=lz4&key=src_addr", keyed: true},
	} {
		d.partitions = map[int32]bool{4: true}
		tr.destinations = append(tr.destinations, &d)
		if _, err := ct.admin.CreateTopic(t.Context(), 4, 3, nil, d.topic); err != nil {
			t.Fatal(err)
		}
	}
	ct.permit(kadm.OpDescribe, kadm.OpDescribeConfigs, kadm.OpWrite)
	return ct
}

// faults are what happens to the cluster.
func (ct *clusterTrial) faults() []fault {
	node := func() int32 { return int32(ct.rng.IntN(3)) + 1 }
	kill := func(nodes ...int32) {
		for _, n := range nodes {
			ct.cluster.kill(ct.t, n)
		}
		ct.arrives(2000)
		ct.start(nodes...)
		ct.inSync()
		ct.elect()
	}
	faults := []fault{
		{"a node is killed, and the other two before it is in sync again", func() {
			n := node()
			ct.cluster.kill(ct.t, n)
			ct.progress(2000) // two nodes are enough
			ct.start(n)
			kill(n%3+1, (n+1)%3+1)
		}},
		{"all nodes are killed", func() { kill(1, 2, 3) }},
		{"leaders move", func() {
			for range 3 {
				ct.moveLeaders()
				ct.progress(500)
			}
		}},
		{"replicas move", func() {
			ct.assign(func(replicas []int32) []int32 { return replicas[:2] })
			ct.progress(500)
			ct.assign(func(replicas []int32) []int32 {
				return append([]int32{6 - replicas[0] - replicas[1]}, replicas...)
			})
			ct.inSync()
			ct.elect()
		}},
		{"the permission to write is taken away", func() {
			ct.forbid(kadm.OpWrite)
			ct.arrives(8000)
			ct.permit(kadm.OpWrite)
		}},
	}
	if soakFor(ct.t) > 0 {
		faults = append(faults, fault{"a node is killed", func() { kill(node()) }})
	}
	return faults
}

// start starts nodes again and waits until they answer. They do so after they have
// told the cluster that they come back from a crash, and are not in sync.
func (ct *clusterTrial) start(nodes ...int32) {
	ct.t.Helper()
	for _, n := range nodes {
		ct.cluster.start(ct.t, n)
	}
	for _, n := range nodes {
		address := fmt.Sprintf("127.0.0.1:%d", ct.cluster.port+10*int(n-1))
		ct.until(fmt.Sprintf("node %d answers", n), func() bool {
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
}

// partitionsAre reports whether all partitions of all topics are so.
func (ct *clusterTrial) partitionsAre(so func(kadm.PartitionDetail) bool) bool {
	all := true
	ct.describe().EachPartition(func(p kadm.PartitionDetail) { all = all && p.Err == nil && so(p) })
	return all
}

// inSync waits until all nodes have all partitions.
func (ct *clusterTrial) inSync() {
	ct.t.Helper()
	ct.until("three replicas of each partition are in sync", func() bool {
		return ct.partitionsAre(func(p kadm.PartitionDetail) bool { return len(p.Replicas) == 3 && len(p.ISR) == 3 && p.Leader > 0 })
	})
}

// assign changes the replicas of all partitions and has the first of each lead it.
func (ct *clusterTrial) assign(f func(replicas []int32) []int32) {
	ct.t.Helper()
	var req kadm.AlterPartitionAssignmentsReq
	want := map[string][]int32{}
	ct.describe().EachPartition(func(p kadm.PartitionDetail) {
		replicas := f(p.Replicas)
		want[fmt.Sprint(p.Topic, p.Partition)] = replicas
		req.Assign(p.Topic, p.Partition, replicas)
	})
	ct.until("the cluster takes other replicas", func() bool {
		responses, err := ct.admin.AlterPartitionAssignments(ct.t.Context(), req)
		return err == nil && responses.Error() == nil
	})
	ct.until("the replicas are as they shall be", func() bool {
		return ct.partitionsAre(func(p kadm.PartitionDetail) bool {
			return slices.Equal(p.Replicas, want[fmt.Sprint(p.Topic, p.Partition)]) && len(p.ISR) >= 2
		})
	})
	ct.elect()
}

// elect has the first replica of each partition lead it.
func (ct *clusterTrial) elect() {
	ct.t.Helper()
	ct.until("the leaders are as they shall be", func() bool {
		if _, err := ct.admin.ElectLeaders(ct.t.Context(), kadm.ElectPreferredReplica, nil); err != nil {
			return false
		}
		return ct.partitionsAre(func(p kadm.PartitionDetail) bool { return p.Leader == p.Replicas[0] })
	})
}

// moveLeaders gives every partition another leader.
func (ct *clusterTrial) moveLeaders() {
	ct.t.Helper()
	ct.assign(func(replicas []int32) []int32 {
		by := 1 + ct.rng.IntN(len(replicas)-1)
		return append(slices.Clone(replicas[by:]), replicas[:by]...)
	})
}

// acl names what the collector may do with the topics.
func (ct *clusterTrial) acl(operations []kadm.ACLOperation) *kadm.ACLBuilder {
	return kadm.NewACLs().Topics(ct.topics()...).ResourcePatternType(kadm.ACLPatternLiteral).
		Operations(operations...).Allow("User:collector").AllowHosts("*")
}

func (ct *clusterTrial) permit(operations ...kadm.ACLOperation) {
	ct.t.Helper()
	ct.until("the collector is permitted", func() bool {
		results, err := ct.admin.CreateACLs(ct.t.Context(), ct.acl(operations))
		return err == nil && !slices.ContainsFunc(results, func(r kadm.CreateACLsResult) bool { return r.Err != nil })
	})
}

func (ct *clusterTrial) forbid(operations ...kadm.ACLOperation) {
	ct.t.Helper()
	ct.until("the collector is forbidden", func() bool {
		results, err := ct.admin.DeleteACLs(ct.t.Context(), ct.acl(operations))
		return err == nil && !slices.ContainsFunc(results, func(r kadm.DeleteACLsResult) bool { return r.Err != nil })
	})
}
