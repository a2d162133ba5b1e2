package broker

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// BenchmarkAllows decides for one topic among a thousand rules, a hundred of them for prefixes.
func BenchmarkAllows(b *testing.B) {
	var rules []acl
	for i := range 1000 {
		a := acl{
			Resource: kmsg.ACLResourceTypeTopic, Pattern: kmsg.ACLResourcePatternTypeLiteral, Name: fmt.Sprintf("topic-%d", i),
			Principal: fmt.Sprintf("User:u%d", i%10), Host: "*", Operation: kmsg.ACLOperationWrite, Permission: kmsg.ACLPermissionTypeAllow,
		}
		if i%10 == 0 {
			a.Pattern, a.Name = kmsg.ACLResourcePatternTypePrefixed, fmt.Sprintf("prefix-%d-", i)
		}
		rules = append(rules, a)
	}
	as := &acls{}
	as.index.Store(newACLIndex(rules))
	s := &session{principal: "User:u3", host: "192.0.2.1"}
	if !as.allows(s, kmsg.ACLOperationWrite, kmsg.ACLResourceTypeTopic, "topic-993") || as.allows(s, kmsg.ACLOperationWrite, kmsg.ACLResourceTypeTopic, "topic-994") {
		b.Fatal("the decision is wrong")
	}
	b.ReportAllocs()
	for b.Loop() {
		as.allows(s, kmsg.ACLOperationWrite, kmsg.ACLResourceTypeTopic, "topic-993")
	}
}
