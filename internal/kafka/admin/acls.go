package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ACL allows or denies a principal an operation. Words are Kafka's in lower case
// with hyphens: topic, transactional-id, describe-configs.
type ACL struct {
	Resource   string `json:"resource"` // topic, group, cluster, transactional-id, delegation-token, user
	Name       string `json:"name"`
	Pattern    string `json:"pattern"`   // literal, prefixed
	Principal  string `json:"principal"` // User:alice, User:*
	Host       string `json:"host"`      // an address, or * for all
	Operation  string `json:"operation"`
	Permission string `json:"permission"` // allow, deny
}

func compareACLs(a, b ACL) int {
	return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Principal, b.Principal),
		cmp.Compare(a.Permission, b.Permission), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Host, b.Host))
}

// word is how a constant of the protocol is called here.
func word(s fmt.Stringer) string {
	return strings.ReplaceAll(strings.ToLower(s.String()), "_", "-")
}

// ACLSpec says which ACLs to add, or which to look for: every principal from every
// host, every operation on every resource.
type ACLSpec struct {
	Topics, Groups, TransactionalIDs, DelegationTokens, Users []string
	Cluster                                                   bool
	Pattern                                                   string // literal, prefixed; to look for ACLs also match (all that apply to the name) and any
	Allow, Deny                                               []string
	Principals                                                []string // to look for ACLs: who is allowed or denied
	AllowHosts, DenyHosts                                     []string
	Operations                                                []string

	// What a program of a kind needs, in place of Operations: a producer on topics
	// and transactional ids, with Idempotent on the cluster too; a consumer on
	// topics and groups.
	Producer, Consumer, Idempotent bool
}

// grant is a resource and what may be done on it.
type grant struct {
	typ  kmsg.ACLResourceType
	name string
	ops  []kmsg.ACLOperation
}

// clusterName is the one name that a cluster has as a resource.
const clusterName = "kafka-cluster"

// aclOperations are those that mean something on a resource, as Kafka's
// documentation lists them.
var aclOperations = map[kmsg.ACLResourceType][]kmsg.ACLOperation{
	kmsg.ACLResourceTypeTopic: {
		kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationCreate, kmsg.ACLOperationDelete, kmsg.ACLOperationAlter,
		kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs,
	},
	kmsg.ACLResourceTypeGroup: {
		kmsg.ACLOperationRead, kmsg.ACLOperationDescribe, kmsg.ACLOperationDelete, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs,
	},
	kmsg.ACLResourceTypeCluster: {
		kmsg.ACLOperationCreate, kmsg.ACLOperationAlter, kmsg.ACLOperationDescribe, kmsg.ACLOperationClusterAction,
		kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs, kmsg.ACLOperationIdempotentWrite,
	},
	kmsg.ACLResourceTypeTransactionalId: {kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe},
	kmsg.ACLResourceTypeDelegationToken: {kmsg.ACLOperationDescribe},
	kmsg.ACLResourceTypeUser:            {kmsg.ACLOperationCreateTokens, kmsg.ACLOperationDescribeTokens},
}

// CheckOperation refuses what is no operation.
func CheckOperation(s string) error {
	op, err := kmsg.ParseACLOperation(s)
	if err == nil && op != kmsg.ACLOperationAny && op != kmsg.ACLOperationUnknown {
		return nil
	}
	return errors.New("allowed are read, write, create, delete, alter, describe, cluster-action, describe-configs, alter-configs, idempotent-write, create-tokens, describe-tokens and all")
}

// CheckPrincipal refuses what is no principal.
func CheckPrincipal(s string) error {
	if kind, name, ok := strings.Cut(s, ":"); !ok || kind == "" || name == "" {
		return errors.New("allowed are Type:name, such as User:alice, and User:* for all")
	}
	return nil
}

// resources lists what the spec names.
func (s *ACLSpec) resources() []grant {
	var gs []grant
	add := func(typ kmsg.ACLResourceType, names ...string) {
		for _, n := range names {
			gs = append(gs, grant{typ: typ, name: n})
		}
	}
	add(kmsg.ACLResourceTypeTopic, s.Topics...)
	add(kmsg.ACLResourceTypeGroup, s.Groups...)
	if s.Cluster {
		add(kmsg.ACLResourceTypeCluster, clusterName)
	}
	add(kmsg.ACLResourceTypeTransactionalId, s.TransactionalIDs...)
	add(kmsg.ACLResourceTypeDelegationToken, s.DelegationTokens...)
	add(kmsg.ACLResourceTypeUser, s.Users...)
	return gs
}

// grants are the resources of the spec with the operations on them. Without
// operations there are none of them in a grant.
func (s *ACLSpec) grants() ([]grant, error) {
	resources := s.resources()
	if !s.Producer && !s.Consumer {
		if s.Idempotent {
			return nil, errors.New("idempotent is for a producer")
		}
		for i := range resources {
			g := &resources[i]
			for _, o := range s.Operations {
				op, err := kmsg.ParseACLOperation(o)
				if err != nil {
					return nil, err
				}
				if op != kmsg.ACLOperationAll && !slices.Contains(aclOperations[g.typ], op) {
					var all []string
					for _, op := range append(slices.Clone(aclOperations[g.typ]), kmsg.ACLOperationAll) {
						all = append(all, word(op))
					}
					return nil, fmt.Errorf("%s is no operation on a %s: allowed are %s", word(op), word(g.typ), strings.Join(all, ", "))
				}
				g.ops = append(g.ops, op)
			}
		}
		return resources, nil
	}
	switch {
	case len(s.Operations) > 0:
		return nil, errors.New("operations follow from producer and consumer, and are not named beside them")
	case len(s.Deny) > 0 || len(s.DenyHosts) > 0:
		return nil, errors.New("what a producer or a consumer needs can be allowed, not denied")
	case len(s.Topics) == 0:
		return nil, errors.New("a producer or a consumer needs a topic")
	case s.Consumer && len(s.Groups) == 0:
		return nil, errors.New("a consumer needs a group")
	case !s.Consumer && len(s.Groups) > 0:
		return nil, errors.New("a producer needs no group")
	case !s.Producer && (len(s.TransactionalIDs) > 0 || s.Idempotent):
		return nil, errors.New("a consumer needs no transactional id, and is not idempotent")
	case s.Cluster || len(s.DelegationTokens) > 0 || len(s.Users) > 0:
		return nil, errors.New("a producer or a consumer needs topics, groups and transactional ids only")
	}
	if s.Idempotent {
		resources = append(resources, grant{typ: kmsg.ACLResourceTypeCluster, name: clusterName})
	}
	for i := range resources {
		switch g := &resources[i]; g.typ {
		case kmsg.ACLResourceTypeTopic:
			if s.Consumer {
				g.ops = append(g.ops, kmsg.ACLOperationRead)
			}
			if s.Producer {
				g.ops = append(g.ops, kmsg.ACLOperationWrite, kmsg.ACLOperationCreate)
			}
			g.ops = append(g.ops, kmsg.ACLOperationDescribe)
		case kmsg.ACLResourceTypeGroup:
			g.ops = append(g.ops, kmsg.ACLOperationRead)
		case kmsg.ACLResourceTypeTransactionalId:
			g.ops = append(g.ops, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe)
		case kmsg.ACLResourceTypeCluster:
			g.ops = append(g.ops, kmsg.ACLOperationIdempotentWrite)
		}
	}
	return resources, nil
}

// rules are the ACLs that the spec adds.
func (s *ACLSpec) rules() ([]kmsg.CreateACLsRequestCreation, error) {
	grants, err := s.grants()
	switch {
	case err != nil:
		return nil, err
	case len(grants) == 0:
		return nil, errors.New("no resource; name a topic, a group, the cluster, a transactional id, a delegation token or a user")
	case len(s.Allow)+len(s.Deny) == 0:
		return nil, errors.New("nobody to allow or deny; name a principal")
	case len(s.AllowHosts) > 0 && len(s.Allow) == 0, len(s.DenyHosts) > 0 && len(s.Deny) == 0:
		return nil, errors.New("hosts without a principal that comes from them")
	}
	pattern, err := kmsg.ParseACLResourcePatternType(cmp.Or(s.Pattern, "literal"))
	if err != nil || pattern != kmsg.ACLResourcePatternTypeLiteral && pattern != kmsg.ACLResourcePatternTypePrefixed {
		return nil, fmt.Errorf("pattern %s is for looking; allowed to add are literal and prefixed", s.Pattern)
	}
	var rules []kmsg.CreateACLsRequestCreation
	for _, g := range grants {
		if g.ops == nil {
			g.ops = []kmsg.ACLOperation{kmsg.ACLOperationAll}
		}
		pattern := pattern
		if g.typ == kmsg.ACLResourceTypeCluster { // has one name, no pattern
			pattern = kmsg.ACLResourcePatternTypeLiteral
		}
		for _, w := range s.who("*") {
			for _, op := range g.ops {
				r := kmsg.NewCreateACLsRequestCreation()
				r.ResourceType, r.ResourceName, r.ResourcePatternType = g.typ, g.name, pattern
				r.Principal, r.Host, r.PermissionType, r.Operation = w.principal, w.host, w.permission, op
				rules = append(rules, r)
			}
		}
	}
	return rules, nil
}

// who is somebody from somewhere; empty is anybody and anywhere.
type who struct {
	principal, host string
	permission      kmsg.ACLPermissionType
}

// who are all principals from all hosts; without a host they come from elsewhere.
func (s *ACLSpec) who(elsewhere string) []who {
	var all []who
	for _, side := range []struct {
		principals, hosts []string
		permission        kmsg.ACLPermissionType
	}{{s.Allow, s.AllowHosts, kmsg.ACLPermissionTypeAllow}, {s.Deny, s.DenyHosts, kmsg.ACLPermissionTypeDeny}, {s.Principals, nil, kmsg.ACLPermissionTypeAny}} {
		if len(side.hosts) == 0 {
			side.hosts = []string{elsewhere}
		} else if len(side.principals) == 0 { // anybody from these hosts
			side.principals = []string{""}
		}
		for _, p := range side.principals {
			for _, h := range side.hosts {
				all = append(all, who{p, h, side.permission})
			}
		}
	}
	return all
}

// filters find the ACLs that the spec speaks of; what it does not name may be
// anything.
func (s *ACLSpec) filters() ([]kmsg.DeleteACLsRequestFilter, error) {
	grants, err := s.grants()
	if err != nil {
		return nil, err
	}
	if grants == nil {
		g := grant{typ: kmsg.ACLResourceTypeAny}
		for _, o := range s.Operations {
			op, err := kmsg.ParseACLOperation(o)
			if err != nil {
				return nil, err
			}
			g.ops = append(g.ops, op)
		}
		grants = []grant{g}
	}
	pattern, err := kmsg.ParseACLResourcePatternType(cmp.Or(s.Pattern, "any"))
	if err != nil {
		return nil, err
	}
	people := s.who("")
	if people == nil {
		people = []who{{permission: kmsg.ACLPermissionTypeAny}}
	}
	maybe := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	var filters []kmsg.DeleteACLsRequestFilter
	for _, g := range grants {
		if g.ops == nil {
			g.ops = []kmsg.ACLOperation{kmsg.ACLOperationAny}
		}
		for _, w := range people {
			for _, op := range g.ops {
				f := kmsg.NewDeleteACLsRequestFilter()
				f.ResourceType, f.ResourceName, f.ResourcePatternType = g.typ, maybe(g.name), pattern
				f.Principal, f.Host, f.PermissionType, f.Operation = maybe(w.principal), maybe(w.host), w.permission, op
				filters = append(filters, f)
			}
		}
	}
	return filters, nil
}

// AddACLs adds the ACLs of a spec and returns them.
func AddACLs(ctx context.Context, cl *kgo.Client, s *ACLSpec) ([]ACL, error) {
	rules, err := s.rules()
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrCreateACLsRequest()
	req.Creations = rules
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("add ACLs: %w", err)
	}
	if len(resp.Results) != len(rules) {
		return nil, fmt.Errorf("add ACLs: %d answers to %d", len(resp.Results), len(rules))
	}
	added := []ACL{}
	for i, r := range resp.Results {
		if err := answer(r.ErrorCode, r.ErrorMessage); err != nil {
			return added, fmt.Errorf("add ACLs: %w", err)
		}
		c := &rules[i]
		added = append(added, ACL{word(c.ResourceType), c.ResourceName, word(c.ResourcePatternType), c.Principal, c.Host, word(c.Operation), word(c.PermissionType)})
	}
	slices.SortFunc(added, compareACLs)
	return added, nil
}

// ListACLs finds the ACLs that a spec speaks of, sorted.
func ListACLs(ctx context.Context, cl *kgo.Client, s *ACLSpec) ([]ACL, error) {
	filters, err := s.filters()
	if err != nil {
		return nil, err
	}
	acls := []ACL{}
	for _, f := range filters {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.ResourceType, req.ResourceName, req.ResourcePatternType = f.ResourceType, f.ResourceName, f.ResourcePatternType
		req.Principal, req.Host, req.Operation, req.PermissionType = f.Principal, f.Host, f.Operation, f.PermissionType
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = answer(resp.ErrorCode, resp.ErrorMessage)
		}
		if err != nil {
			return nil, fmt.Errorf("list ACLs: %w", err)
		}
		for _, r := range resp.Resources {
			for _, a := range r.ACLs {
				acls = append(acls, ACL{word(r.ResourceType), r.ResourceName, word(r.ResourcePatternType), a.Principal, a.Host, word(a.Operation), word(a.PermissionType)})
			}
		}
	}
	slices.SortFunc(acls, compareACLs)
	return slices.Compact(acls), nil
}

// RemoveACLs removes the ACLs that a spec speaks of and returns them. A spec that
// names nothing at all is refused.
func RemoveACLs(ctx context.Context, cl *kgo.Client, s *ACLSpec) ([]ACL, error) {
	filters, err := s.filters()
	if err != nil {
		return nil, err
	}
	if len(s.resources()) == 0 && len(s.Allow)+len(s.Deny)+len(s.Principals) == 0 {
		return nil, errors.New("this would remove the ACLs of everybody on everything; name resources or principals")
	}
	req := kmsg.NewPtrDeleteACLsRequest()
	req.Filters = filters
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("remove ACLs: %w", err)
	}
	removed := []ACL{}
	for _, r := range resp.Results {
		if err := answer(r.ErrorCode, r.ErrorMessage); err != nil {
			return removed, fmt.Errorf("remove ACLs: %w", err)
		}
		for _, m := range r.MatchingACLs {
			if err := answer(m.ErrorCode, m.ErrorMessage); err != nil {
				return removed, fmt.Errorf("remove ACLs: %w", err)
			}
			removed = append(removed, ACL{word(m.ResourceType), m.ResourceName, word(m.ResourcePatternType), m.Principal, m.Host, word(m.Operation), word(m.PermissionType)})
		}
	}
	slices.SortFunc(removed, compareACLs)
	return slices.Compact(removed), nil
}
