package broker

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// allows decides as Kafka's StandardAuthorizer does: a super user may do everything; a rule that denies wins over all that
// allow; what no rule allows is denied, unless no rule speaks of the resource and the configuration opens such ones.
func (as *acls) allows(s *session, op kmsg.ACLOperation, typ kmsg.ACLResourceType, name string) bool {
	if as == nil || s.trusted || as.superUsers[s.principal] {
		return true
	}
	ix := as.index.Load()
	v := verdict{s: s, op: op}
	v.hear(ix.literal[aclResource{typ, name}])
	v.hear(ix.literal[aclResource{typ, aclAnything}])
	for _, n := range ix.lengths[typ] {
		if n <= len(name) {
			v.hear(ix.prefixed[aclResource{typ, name[:n]}])
		}
	}
	return !v.denied && (v.allowed || as.openByNobody && !v.heard)
}

// verdict is a decision in the making.
type verdict struct {
	s  *session
	op kmsg.ACLOperation

	heard, denied, allowed bool
}

func (v *verdict) hear(rules []aclRule) {
	for i := range rules {
		r := &rules[i]
		v.heard = true
		switch {
		case !r.speaksOf(v.s):
		case r.deny:
			v.denied = v.denied || r.operation == v.op || r.operation == kmsg.ACLOperationAll
		default:
			v.allowed = v.allowed || r.operation == v.op || r.operation == kmsg.ACLOperationAll || implies(r.operation, v.op)
		}
	}
}

func (r *aclRule) speaksOf(s *session) bool {
	return (r.principal == s.principal || r.principal == aclEverybody) && (r.host == s.host || r.host == aclAnything)
}

// implies says whether who may do one thing may do another because of it (KIP-11, KIP-133).
func implies(has, wants kmsg.ACLOperation) bool {
	switch wants {
	case kmsg.ACLOperationDescribe:
		switch has {
		case kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationDelete, kmsg.ACLOperationAlter:
			return true
		}
	case kmsg.ACLOperationDescribeConfigs:
		return has == kmsg.ACLOperationAlterConfigs
	}
	return false
}

// allowsAny says whether there is any resource of a type that something may be done to (KIP-679): one that a rule allows and
// no rule denies as a whole.
func (as *acls) allowsAny(s *session, op kmsg.ACLOperation, typ kmsg.ACLResourceType) bool {
	if as == nil || s.trusted || as.superUsers[s.principal] {
		return true
	}
	var denied, allowed []*acl
	all := as.index.Load().all
	for i := range all {
		a := &all[i]
		r := aclRule{principal: a.Principal, host: a.Host}
		if a.Resource != typ || a.Operation != op && a.Operation != kmsg.ACLOperationAll || !r.speaksOf(s) {
			continue
		}
		if a.Permission != kmsg.ACLPermissionTypeDeny {
			allowed = append(allowed, a)
			continue
		}
		if a.Pattern == kmsg.ACLResourcePatternTypeLiteral && a.Name == aclAnything {
			return false
		}
		denied = append(denied, a)
	}
	if as.openByNobody {
		return true
	}
	return slices.ContainsFunc(allowed, func(a *acl) bool {
		return !slices.ContainsFunc(denied, func(d *acl) bool { return d.covers(a) })
	})
}

// covers says whether every resource of a pattern is one of another's.
func (a *acl) covers(b *acl) bool {
	if a.Pattern == kmsg.ACLResourcePatternTypePrefixed {
		return strings.HasPrefix(b.Name, a.Name) && !(b.Pattern == kmsg.ACLResourcePatternTypeLiteral && b.Name == aclAnything)
	}
	return a.Pattern == b.Pattern && a.Name == b.Name
}

// may says whether who sent a request may do something to a resource.
func (rq *request) may(op kmsg.ACLOperation, typ kmsg.ACLResourceType, name string) bool {
	return rq.conn.b.acls.allows(&rq.conn.session, op, typ, name)
}

// mayTopic and the like are what most requests ask.
func (rq *request) mayTopic(op kmsg.ACLOperation, name string) bool {
	return rq.may(op, kmsg.ACLResourceTypeTopic, name)
}

func (rq *request) mayGroup(op kmsg.ACLOperation, name string) bool {
	return rq.may(op, kmsg.ACLResourceTypeGroup, name)
}

func (rq *request) mayTxn(op kmsg.ACLOperation, id string) bool {
	return rq.may(op, kmsg.ACLResourceTypeTransactionalId, id)
}

func (rq *request) mayCluster(op kmsg.ACLOperation) bool {
	return rq.may(op, kmsg.ACLResourceTypeCluster, aclCluster)
}

// permit takes a topic away from who may not do this to it: t, which was found by name or id, comes back with the code that
// stands for its absence, or nil with the one that stands for the refusal. A name is refused whether there is such a topic or
// not.
func (rq *request) permit(op kmsg.ACLOperation, t *topic, name []byte, absent code) (*topic, code) {
	switch {
	case rq.conn.b.acls == nil:
	case t != nil && !rq.mayTopic(op, t.name), t == nil && name != nil && !rq.mayTopic(op, string(name)):
		return nil, codeTopicAuthorization
	}
	return t, absent
}

// topicRefusal tells who may not do this to a topic.
var topicRefusal = refusef(codeTopicAuthorization, "Topic authorization failed.")

// Operations there are on each type of resource, for answers that list those which are allowed (KIP-430).
var aclOperations = map[kmsg.ACLResourceType][]kmsg.ACLOperation{
	kmsg.ACLResourceTypeTopic: {
		kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationCreate, kmsg.ACLOperationDelete, kmsg.ACLOperationAlter,
		kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs,
	},
	kmsg.ACLResourceTypeGroup: {
		kmsg.ACLOperationRead, kmsg.ACLOperationDelete, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs,
		kmsg.ACLOperationAlterConfigs,
	},
	kmsg.ACLResourceTypeCluster: {
		kmsg.ACLOperationCreate, kmsg.ACLOperationAlter, kmsg.ACLOperationDescribe, kmsg.ACLOperationClusterAction,
		kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs, kmsg.ACLOperationIdempotentWrite,
	},
}

// operations returns what may be done to a resource, a bit for each, or that it is not told.
func (rq *request) operations(wanted bool, typ kmsg.ACLResourceType, name string) int32 {
	if !wanted {
		return noOperations
	}
	bits := int32(0)
	for _, op := range aclOperations[typ] {
		if rq.may(op, typ, name) {
			bits |= 1 << op
		}
	}
	return bits
}

// clusterOperations is operations for the cluster, which only those are told who may describe it.
func (rq *request) clusterOperations(wanted bool) int32 {
	if wanted && !rq.mayCluster(kmsg.ACLOperationDescribe) {
		return 0
	}
	return rq.operations(wanted, kmsg.ACLResourceTypeCluster, aclCluster)
}
