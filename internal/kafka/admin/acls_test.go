package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// lines are rules and filters as text; what may be anything is a question mark.
func lines(t *testing.T, s *ACLSpec, find bool) string {
	t.Helper()
	var all []string
	maybe := func(s *string) string {
		if s == nil {
			return "?"
		}
		return *s
	}
	if find {
		filters, err := s.filters()
		if err != nil {
			return err.Error()
		}
		for _, f := range filters {
			all = append(all, fmt.Sprintf("%s %s %s %s %s %s %s", word(f.ResourceType), maybe(f.ResourceName), word(f.ResourcePatternType), maybe(f.Principal), maybe(f.Host), word(f.Operation), word(f.PermissionType)))
		}
	} else {
		rules, err := s.rules()
		if err != nil {
			return err.Error()
		}
		for _, r := range rules {
			all = append(all, fmt.Sprintf("%s %s %s %s %s %s %s", word(r.ResourceType), r.ResourceName, word(r.ResourcePatternType), r.Principal, r.Host, word(r.Operation), word(r.PermissionType)))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func TestACLSpecAdds(t *testing.T) {
	alice := []string{"User:alice"}
	topic := []string{"t"}
	for _, c := range []struct {
		name string
		spec ACLSpec
		want string
	}{
		{"all", ACLSpec{Topics: topic, Allow: alice}, "topic t literal User:alice * all allow"},
		{"each with each", ACLSpec{
			Groups: []string{"g", "h"}, Pattern: "prefixed", Allow: alice, AllowHosts: []string{"1", "2"}, Deny: []string{"User:bob"}, Operations: []string{"read", "DESCRIBE_CONFIGS"},
		}, `
group g prefixed User:alice 1 describe-configs allow
group g prefixed User:alice 1 read allow
group g prefixed User:alice 2 describe-configs allow
group g prefixed User:alice 2 read allow
group g prefixed User:bob * describe-configs deny
group g prefixed User:bob * read deny
group h prefixed User:alice 1 describe-configs allow
group h prefixed User:alice 1 read allow
group h prefixed User:alice 2 describe-configs allow
group h prefixed User:alice 2 read allow
group h prefixed User:bob * describe-configs deny
group h prefixed User:bob * read deny`},
		{"producer", ACLSpec{Topics: topic, TransactionalIDs: []string{"x"}, Allow: alice, Producer: true, Idempotent: true, Pattern: "prefixed"}, `
cluster kafka-cluster literal User:alice * idempotent-write allow
topic t prefixed User:alice * create allow
topic t prefixed User:alice * describe allow
topic t prefixed User:alice * write allow
transactional-id x prefixed User:alice * describe allow
transactional-id x prefixed User:alice * write allow`},
		{"consumer", ACLSpec{Topics: topic, Groups: []string{"g"}, Allow: alice, Consumer: true}, `
group g literal User:alice * read allow
topic t literal User:alice * describe allow
topic t literal User:alice * read allow`},
		{"both", ACLSpec{Topics: topic, Groups: []string{"g"}, Allow: alice, Consumer: true, Producer: true}, `
group g literal User:alice * read allow
topic t literal User:alice * create allow
topic t literal User:alice * describe allow
topic t literal User:alice * read allow
topic t literal User:alice * write allow`},
		{"tokens", ACLSpec{Users: []string{"User:bob"}, Allow: alice, Operations: []string{"create-tokens"}}, "user User:bob literal User:alice * create-tokens allow"},
		{"nobody", ACLSpec{Topics: topic}, "nobody to allow or deny; name a principal"},
		{"nothing", ACLSpec{Allow: alice}, "no resource; name a topic, a group, the cluster, a transactional id, a delegation token or a user"},
		{"host of nobody", ACLSpec{Topics: topic, Allow: alice, DenyHosts: []string{"1"}}, "hosts without a principal that comes from them"},
		{"pattern to look for", ACLSpec{Topics: topic, Allow: alice, Pattern: "match"}, "pattern match is for looking; allowed to add are literal and prefixed"},
		{"wrong operation", ACLSpec{Groups: topic, Allow: alice, Operations: []string{"write"}}, "write is no operation on a group: allowed are read, describe, delete, describe-configs, alter-configs, all"},
		{"denied producer", ACLSpec{Topics: topic, Deny: alice, Producer: true}, "what a producer or a consumer needs can be allowed, not denied"},
		{"producer of nothing", ACLSpec{Allow: alice, Producer: true}, "a producer or a consumer needs a topic"},
		{"producer with group", ACLSpec{Topics: topic, Groups: topic, Allow: alice, Producer: true}, "a producer needs no group"},
		{"idempotent alone", ACLSpec{Topics: topic, Allow: alice, Idempotent: true}, "idempotent is for a producer"},
		{"producer with operation", ACLSpec{Topics: topic, Allow: alice, Producer: true, Operations: []string{"read"}}, "operations follow from producer and consumer, and are not named beside them"},
	} {
		if got, want := lines(t, &c.spec, false), strings.TrimPrefix(c.want, "\n"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, want)
		}
	}
}

func TestACLSpecFinds(t *testing.T) {
	for _, c := range []struct {
		name string
		spec ACLSpec
		want string
	}{
		{"all", ACLSpec{}, "any ? any ? ? any any"},
		{"of a topic", ACLSpec{Topics: []string{"t"}, Pattern: "match"}, "topic t match ? ? any any"},
		{"of a principal", ACLSpec{Principals: []string{"User:a"}}, "any ? any User:a ? any any"},
		{"allowed, denied", ACLSpec{Allow: []string{"User:a"}, Deny: []string{"User:b"}, AllowHosts: []string{"1"}}, "any ? any User:a 1 any allow\nany ? any User:b ? any deny"},
		{"denied from there", ACLSpec{DenyHosts: []string{"1"}}, "any ? any ? 1 any deny"},
		{"operation", ACLSpec{Cluster: true, Operations: []string{"alter"}}, "cluster kafka-cluster any ? ? alter any"},
		{"operation anywhere", ACLSpec{Operations: []string{"alter"}}, "any ? any ? ? alter any"},
		{"producer", ACLSpec{Topics: []string{"t"}, Producer: true, Allow: []string{"User:a"}}, `
topic t any User:a ? create allow
topic t any User:a ? describe allow
topic t any User:a ? write allow`},
		{"nonsense", ACLSpec{Pattern: "regex"}, `ACLResourcePatternType: unable to parse "regex"`},
	} {
		if got, want := lines(t, &c.spec, true), strings.TrimPrefix(c.want, "\n"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, want)
		}
	}
}
