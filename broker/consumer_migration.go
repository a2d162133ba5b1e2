package broker

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// MigrationPolicy says which groups in use change their kind (group.consumer.migration.policy of Kafka). An empty group
// becomes of the kind of whoever joins it, whatever the policy, and a group of KIP-848 takes in members of the classic
// protocol.
type MigrationPolicy uint8

const (
	// MigrateBoth is Upgrade and Downgrade.
	MigrateBoth MigrationPolicy = iota
	// MigrateUpgrade has a classic group of consumers become one of KIP-848 when a consumer of that protocol joins.
	MigrateUpgrade
	// MigrateDowngrade has a group of KIP-848 become a classic one when the last consumer of that protocol leaves.
	MigrateDowngrade
	// MigrateNone has neither.
	MigrateNone
)

var migrationNames = [...]string{"bidirectional", "upgrade", "downgrade", "disabled"}

// String returns Kafka's name of the policy.
func (p MigrationPolicy) String() string {
	if int(p) < len(migrationNames) {
		return migrationNames[p]
	}
	return fmt.Sprintf("MigrationPolicy(%d)", p)
}

// ParseMigrationPolicy reads what String writes.
func ParseMigrationPolicy(s string) (MigrationPolicy, error) {
	if i := slices.Index(migrationNames[:], s); i >= 0 {
		return MigrationPolicy(i), nil
	}
	return 0, fmt.Errorf("migration policy %q: want bidirectional, upgrade, downgrade or disabled", s)
}

// mayUpgrade says whether a locked classic group may become one of KIP-848 with its members.
func (g *group) mayUpgrade() bool {
	cfg := &g.gs.b.cfg
	if p := cfg.GroupConsumerMigrationPolicy; p != MigrateBoth && p != MigrateUpgrade {
		return false
	}
	if g.protocolType != consumerProtocol {
		return false
	}
	for _, m := range g.members {
		if _, ok := parseSubscription(m.elected(g.protocol)); !ok {
			return false
		}
		if _, ok := parseShare(m.assignment); !ok {
			return false
		}
	}
	return true
}

// elected is a member's metadata for the group's protocol, or for its own first choice while there is none.
func (m *member) elected(protocol string) []byte {
	if b := m.metadata(protocol); b != nil || len(m.protocols) == 0 {
		return b
	}
	return m.protocols[0].metadata
}

// upgrade makes a locked classic group one of KIP-848, and returns the records that say so. Its members keep what they have;
// who waits for the others is to join again.
func (g *group) upgrade() []record {
	g.gs.b.log.Info("group becomes one of the consumer protocol", "group", g.id, "members", len(g.members))
	records := []record{groupRecord(g.id, nil)}
	g.disarm()
	g.delayUntil, g.saving = time.Time{}, false
	g.forgetPending()
	cg := newConsumerGroup()
	cg.epoch, cg.targetEpoch = g.generation, g.generation
	if cg.epoch == 0 {
		cg.epoch = 1 // nobody has been given anything yet, and a member of epoch 0 is one that joins
	}
	g.consumer = cg
	for _, old := range g.members {
		sub, _ := parseSubscription(old.elected(g.protocol))
		share, _ := parseShare(old.assignment)
		m := &consumerMember{
			id: old.id, instance: old.instance, rack: sub.rack, clientID: old.clientID, host: old.host, names: sub.names,
			rebalance: old.rebalance, epoch: g.generation, previous: g.generation, assigned: g.ownedByName(share),
			classic: &classicMember{session: old.session, protocols: old.protocols},
		}
		cg.members[m.id], cg.target[m.id] = m, m.assigned
		if m.instance != nil {
			cg.static[*m.instance] = m.id
		}
		cg.hold(m)
		g.remove(old, codeRebalanceInProgress)
		g.gs.weighConsumer(m)
		g.consumerAlive(m)
		records = append(records, consumerMemberRecord(g.id, m.id, m))
	}
	g.protocol = ""
	cg.topics = g.subscribedTopics()
	records = append(records, consumerGroupRecord(g.id, &cg.epoch))
	for _, m := range cg.members {
		records = append(records, targetMemberRecord(g.id, m.id, cg.target[m.id]), currentRecord(g.id, m.id, m))
	}
	g.settle()
	return append(records, targetRecord(g.id, cg.targetEpoch))
}

// mayDowngrade says whether a locked group of KIP-848 may become a classic one: all its members speak the classic protocol.
func (g *group) mayDowngrade() bool {
	cfg := &g.gs.b.cfg
	if p := cfg.GroupConsumerMigrationPolicy; p != MigrateBoth && p != MigrateDowngrade {
		return false
	}
	for _, m := range g.consumer.members {
		if m.classic == nil {
			return false
		}
	}
	return len(g.consumer.members) > 0 && len(g.consumer.members) <= cfg.GroupMaxSize
}

// endsWith says whether the group no longer is one of KIP-848 once a member has left.
func (g *group) endsWith(last *consumerMember) bool {
	if p := g.gs.b.cfg.GroupConsumerMigrationPolicy; p != MigrateBoth && p != MigrateDowngrade || last.classic != nil {
		return false
	}
	for _, m := range g.consumer.members {
		if m != last && m.classic == nil {
			return false
		}
	}
	return true
}

// downgrade makes a locked group of KIP-848 a classic one, has its members join again, and returns the records that say so.
func (g *group) downgrade() []record {
	cg := g.consumer
	g.gs.b.log.Info("group becomes one of the classic protocol", "group", g.id, "members", len(cg.members))
	var records []record
	g.consumer = nil
	g.generation = cg.epoch
	for _, id := range slices.Sorted(maps.Keys(cg.members)) {
		old := cg.members[id]
		records = append(records, consumerTombstones(g.id, id)...)
		old.stop()
		g.gs.bytes.Add(-int64(old.size))
		g.joins++
		m := &member{
			id: id, instance: old.instance, clientID: old.clientID, host: old.host, session: old.classic.session,
			rebalance: old.rebalance, protocols: old.classic.protocols, assignment: g.appendShare(nil, old), order: g.joins, synced: true,
		}
		g.members[id] = m
		if m.instance != nil {
			g.static[*m.instance] = id
		}
		g.gs.weigh(m)
		g.alive(m)
	}
	// Nobody leads yet: whoever reads that from the disk has the members join again, too.
	g.protocol, g.leader = g.choose(), ""
	g.enter(groupStable)
	records = append(records, targetRecord(g.id, -1), consumerGroupRecord(g.id, nil), groupRecord(g.id, g.snapshot(nil)))
	g.prepare()
	return records
}
