package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// QuotaEntity says whom a quota is for: user, client-id, both, or ip, each with a
// name or nil for those that have no quota of their own.
type QuotaEntity map[string]*string

// QuotaTypes are the parts that an entity may have.
var QuotaTypes = []string{"user", "client-id", "ip"}

// String is user alice, client-id (default).
func (e QuotaEntity) String() string {
	var parts []string
	for _, t := range QuotaTypes {
		if name, ok := e[t]; ok {
			parts = append(parts, t+" "+QuotaName(name))
		}
	}
	return strings.Join(parts, ", ")
}

// QuotaName is the name of a part of an entity for people.
func QuotaName(name *string) string {
	if name == nil {
		return "(default)"
	}
	return *name
}

// check refuses an entity that cannot have a quota.
func (e QuotaEntity) check() error {
	_, ip := e["ip"]
	switch {
	case len(e) == 0:
		return errors.New("nobody; name a user, a client id or an address")
	case ip && len(e) > 1:
		return errors.New("a quota is for an address, or for user and client id")
	}
	return nil
}

// QuotaNames are the quotas there are, and whether they are for addresses.
var QuotaNames = map[string]bool{
	"producer_byte_rate": false, "consumer_byte_rate": false, "request_percentage": false, "controller_mutation_rate": false,
	"connection_creation_rate": true,
}

// Quota are the quotas of an entity.
type Quota struct {
	Entity QuotaEntity        `json:"entity"`
	Quotas map[string]float64 `json:"quotas"`
}

// ListQuotas finds quotas: those of entities that have all parts of the given one,
// and those of the types in any with whatever name. With only the entity may have
// no other parts.
func ListQuotas(ctx context.Context, cl *kgo.Client, of QuotaEntity, any []string, only bool) ([]Quota, error) {
	var parts []kadm.DescribeClientQuotaComponent
	for _, t := range QuotaTypes {
		name, named := of[t]
		c := kadm.DescribeClientQuotaComponent{Type: t, MatchName: name}
		switch {
		case named && name == nil:
			c.MatchType = kmsg.QuotasMatchTypeDefault
		case named:
			c.MatchType = kmsg.QuotasMatchTypeExact
		case slices.Contains(any, t):
			c.MatchType = kmsg.QuotasMatchTypeAny
		default:
			continue
		}
		parts = append(parts, c)
	}
	// Without any part a strict question would be for nothing.
	described, err := kadm.NewClient(cl).DescribeClientQuotas(ctx, only && len(parts) > 0, parts)
	if err != nil {
		return nil, fmt.Errorf("list quotas: %w", Problem(err))
	}
	quotas := []Quota{}
	for _, d := range described {
		q := Quota{QuotaEntity{}, map[string]float64{}}
		for _, c := range d.Entity {
			q.Entity[c.Type] = c.Name
		}
		for _, v := range d.Values {
			q.Quotas[v.Key] = v.Value
		}
		quotas = append(quotas, q)
	}
	slices.SortFunc(quotas, func(a, b Quota) int {
		for _, t := range QuotaTypes {
			an, aok := a.Entity[t]
			bn, bok := b.Entity[t]
			if aok != bok {
				if aok {
					return -1
				}
				return 1
			}
			if c := cmp.Or(cmp.Compare(QuotaName(an), QuotaName(bn))); c != 0 {
				return c
			}
		}
		return 0
	})
	return quotas, nil
}

// ChangeQuotas sets quotas of an entity, and removes others.
func ChangeQuotas(ctx context.Context, cl *kgo.Client, of QuotaEntity, set map[string]float64, remove []string) error {
	if err := of.check(); err != nil {
		return err
	}
	_, ip := of["ip"]
	entry := kadm.AlterClientQuotaEntry{}
	for _, t := range QuotaTypes {
		if name, ok := of[t]; ok {
			entry.Entity = append(entry.Entity, kadm.ClientQuotaEntityComponent{Type: t, Name: name})
		}
	}
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(set)), remove) {
		forIP, known := QuotaNames[name]
		if !known || forIP != ip {
			var all []string
			for _, n := range slices.Sorted(maps.Keys(QuotaNames)) {
				if QuotaNames[n] == ip {
					all = append(all, n)
				}
			}
			return fmt.Errorf("%s is no quota of %s: allowed are %s", name, of, strings.Join(all, ", "))
		}
		value, isSet := set[name]
		entry.Ops = append(entry.Ops, kadm.AlterClientQuotaOp{Key: name, Value: value, Remove: !isSet})
	}
	altered, err := kadm.NewClient(cl).AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{entry})
	for _, a := range altered {
		err = errors.Join(err, withMessage(a.Err, a.ErrMessage))
	}
	if err != nil {
		return fmt.Errorf("change quotas of %s: %w", of, Problem(err))
	}
	return nil
}

// RemoveQuotas removes all quotas of just this entity.
func RemoveQuotas(ctx context.Context, cl *kgo.Client, of QuotaEntity) error {
	if err := of.check(); err != nil {
		return err
	}
	quotas, err := ListQuotas(ctx, cl, of, nil, true)
	if err != nil {
		return err
	}
	if len(quotas) == 0 {
		return fmt.Errorf("there are no quotas of %s", of)
	}
	return ChangeQuotas(ctx, cl, of, nil, slices.Sorted(maps.Keys(quotas[0].Quotas)))
}
