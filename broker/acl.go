package broker

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// acl is one rule: a principal at a host may, or may not, do something to the resources of a pattern. KIP-11, KIP-290. The
// numbers are the protocol's.
type acl struct {
	Resource   kmsg.ACLResourceType        `json:"resource"`
	Pattern    kmsg.ACLResourcePatternType `json:"pattern"`
	Name       string                      `json:"name"`
	Principal  string                      `json:"principal"`
	Host       string                      `json:"host"`
	Operation  kmsg.ACLOperation           `json:"operation"`
	Permission kmsg.ACLPermissionType      `json:"permission"`
}

const (
	aclAnything      = "*" // every resource of a type, and every host
	aclEverybody     = "User:*"
	aclCluster       = "kafka-cluster" // the one resource of type cluster
	aclTwoPhase      = kmsg.ACLOperation(15)
	maxACLOperation  = aclTwoPhase
	maxACLTextLength = 1 << 10
)

// check refuses a rule that Kafka would not take either.
func (a *acl) check() error {
	kind, _, typed := strings.Cut(a.Principal, ":")
	switch {
	case a.Resource <= kmsg.ACLResourceTypeAny || a.Resource > kmsg.ACLResourceTypeUser:
		return refusef(codeInvalidRequest, "resource type %d is not one", a.Resource)
	case a.Pattern != kmsg.ACLResourcePatternTypeLiteral && a.Pattern != kmsg.ACLResourcePatternTypePrefixed:
		return refusef(codeInvalidRequest, "pattern type %d is neither literal nor prefixed", a.Pattern)
	case a.Operation <= kmsg.ACLOperationAny || a.Operation > maxACLOperation:
		return refusef(codeInvalidRequest, "operation %d is not one", a.Operation)
	case a.Permission != kmsg.ACLPermissionTypeAllow && a.Permission != kmsg.ACLPermissionTypeDeny:
		return refusef(codeInvalidRequest, "permission %d is neither deny nor allow", a.Permission)
	case a.Name == "":
		return refusef(codeInvalidRequest, "the resource has no name")
	case a.Resource == kmsg.ACLResourceTypeCluster && a.Name != aclCluster:
		return refusef(codeInvalidRequest, "the only resource of type cluster is %s", aclCluster)
	case !typed || kind == "":
		return refusef(codeInvalidRequest, "principal %q: want type:name, such as User:alice", a.Principal)
	case a.Host == "":
		return refusef(codeInvalidRequest, "no host: want an address or *")
	case len(a.Name)+len(a.Principal)+len(a.Host) > maxACLTextLength:
		return refusef(codeInvalidRequest, "a rule of more than %d bytes", maxACLTextLength)
	}
	return nil
}

// key names a rule in the metadata file.
func (a *acl) key() string {
	return fmt.Sprintf("%d/%d/%q/%q/%q/%d/%d", a.Resource, a.Pattern, a.Name, a.Principal, a.Host, a.Operation, a.Permission)
}

// compareACLs puts rules of one resource side by side.
func compareACLs(a, b acl) int {
	return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Permission, b.Permission))
}

// kindACL is the metadata file's kind of a rule.
const kindACL = "acl"

// acls keep the rules and decide by them.
type acls struct {
	meta         *metadataFile
	superUsers   map[string]bool // principals
	openByNobody bool            // what no rule speaks of is allowed
	most         int

	change sync.Mutex // one change at a time, from file to index
	index  atomic.Pointer[aclIndex]
}

// aclIndex finds the rules that speak of a resource. It does not change.
type aclIndex struct {
	all      []acl // in order
	literal  map[aclResource][]aclRule
	prefixed map[aclResource][]aclRule
	lengths  [kmsg.ACLResourceTypeUser + 1][]int // of prefixes, by resource type
}

type aclResource struct {
	typ  kmsg.ACLResourceType
	name string
}

type aclRule struct {
	principal, host string
	operation       kmsg.ACLOperation
	deny            bool
}

func newACLIndex(all []acl) *aclIndex {
	ix := &aclIndex{all: all, literal: make(map[aclResource][]aclRule), prefixed: make(map[aclResource][]aclRule)}
	slices.SortFunc(all, compareACLs)
	for i := range all {
		a := &all[i]
		at := aclResource{a.Resource, a.Name}
		r := aclRule{a.Principal, a.Host, a.Operation, a.Permission == kmsg.ACLPermissionTypeDeny}
		if a.Pattern == kmsg.ACLResourcePatternTypePrefixed {
			if n := len(a.Name); !slices.Contains(ix.lengths[a.Resource], n) {
				ix.lengths[a.Resource] = append(ix.lengths[a.Resource], n)
			}
			ix.prefixed[at] = append(ix.prefixed[at], r)
		} else {
			ix.literal[at] = append(ix.literal[at], r)
		}
	}
	return ix
}

func openACLs(cfg *Config, meta *metadataFile) (*acls, error) {
	if !cfg.Authorize {
		return nil, nil
	}
	as := &acls{meta: meta, superUsers: make(map[string]bool), openByNobody: cfg.AllowWithoutACL, most: cfg.MaxACLs}
	for _, p := range cfg.SuperUsers {
		as.superUsers[p] = true
	}
	var all []acl
	err := meta.each(kindACL, func(_ string, raw json.RawMessage) error {
		var a acl
		if err := json.Unmarshal(raw, &a); err != nil {
			return err
		}
		all = append(all, a)
		return a.check()
	})
	as.index.Store(newACLIndex(all))
	return as, err
}

// add puts rules in; those that are there already are left alone. All have been checked.
func (as *acls) add(rules []acl) error {
	as.change.Lock()
	defer as.change.Unlock()
	all := slices.Clone(as.index.Load().all)
	have := make(map[acl]bool, len(all))
	for _, a := range all {
		have[a] = true
	}
	defer func() { as.index.Store(newACLIndex(all)) }() // what is in the file counts, whatever came after it
	for _, a := range rules {
		if have[a] {
			continue
		}
		if len(all) >= as.most {
			return refusef(codePolicyViolation, "there are %d rules, which is as many as are allowed", len(all))
		}
		if err := as.meta.put(kindACL, a.key(), a); err != nil {
			return err
		}
		have[a] = true
		all = append(all, a)
	}
	return nil
}

// remove takes out the rules a filter finds and returns them.
func (as *acls) remove(f *aclFilter) (gone []acl, err error) {
	as.change.Lock()
	defer as.change.Unlock()
	var left []acl
	for _, a := range as.index.Load().all {
		if err == nil && f.finds(&a) {
			if err = as.meta.remove(kindACL, a.key()); err == nil {
				gone = append(gone, a)
				continue
			}
		}
		left = append(left, a)
	}
	if len(gone) > 0 {
		as.index.Store(newACLIndex(left))
	}
	return gone, err
}

// find returns the rules a filter finds, in order.
func (as *acls) find(f *aclFilter) []acl {
	var found []acl
	for _, a := range as.index.Load().all {
		if f.finds(&a) {
			found = append(found, a)
		}
	}
	return found
}

// aclFilter finds rules. Nil and the word Any stand for all.
type aclFilter struct {
	resource   kmsg.ACLResourceType
	pattern    kmsg.ACLResourcePatternType
	name       *string
	principal  *string
	host       *string
	operation  kmsg.ACLOperation
	permission kmsg.ACLPermissionType
}

func (f *aclFilter) check() error {
	if f.resource <= kmsg.ACLResourceTypeUnknown || f.resource > kmsg.ACLResourceTypeUser ||
		f.pattern <= kmsg.ACLResourcePatternTypeUnknown || f.pattern > kmsg.ACLResourcePatternTypePrefixed ||
		f.operation <= kmsg.ACLOperationUnknown || f.operation > maxACLOperation ||
		f.permission <= kmsg.ACLPermissionTypeUnknown || f.permission > kmsg.ACLPermissionTypeAllow {
		return refusef(codeInvalidRequest, "the filter has a type, a pattern, an operation or a permission that is not one")
	}
	return nil
}

func (f *aclFilter) finds(a *acl) bool {
	if f.resource != kmsg.ACLResourceTypeAny && f.resource != a.Resource ||
		f.operation != kmsg.ACLOperationAny && f.operation != a.Operation ||
		f.permission != kmsg.ACLPermissionTypeAny && f.permission != a.Permission ||
		f.principal != nil && *f.principal != a.Principal ||
		f.host != nil && *f.host != a.Host {
		return false
	}
	switch f.pattern {
	case kmsg.ACLResourcePatternTypeAny:
		return f.name == nil || *f.name == a.Name
	case kmsg.ACLResourcePatternTypeMatch:
		switch {
		case f.name == nil || *f.name == a.Name:
			return true
		case a.Pattern == kmsg.ACLResourcePatternTypePrefixed:
			return strings.HasPrefix(*f.name, a.Name)
		}
		return a.Name == aclAnything
	}
	return f.pattern == a.Pattern && (f.name == nil || *f.name == a.Name)
}

func (c *Config) checkAuthorization() error {
	for _, p := range c.SuperUsers {
		if kind, name, ok := strings.Cut(p, ":"); !ok || kind == "" || name == "" {
			return inField("SuperUsers", fmt.Errorf("%q: want type:name, such as User:admin", p))
		}
	}
	if !c.Authorize && (len(c.SuperUsers) > 0 || c.AllowWithoutACL) {
		return inField("Authorize", errors.New("must be set where there are super users or AllowWithoutACL is"))
	}
	return nil
}
