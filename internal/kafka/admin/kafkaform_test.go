package admin_test

import (
	"strings"
	"testing"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

func TestQuotasAsKafka(t *testing.T) {
	bob, c1 := "bob", "c1"
	var b strings.Builder
	err := admin.WriteQuotasAsKafka(&b, []admin.Quota{
		{Entity: admin.QuotaEntity{"user": nil}, Quotas: map[string]float64{"request_percentage": 50}},
		{Entity: admin.QuotaEntity{"user": &bob, "client-id": &c1}, Quotas: map[string]float64{"producer_byte_rate": 12345678, "consumer_byte_rate": 1e7, "request_percentage": 0.5}},
		{Entity: admin.QuotaEntity{"ip": nil}, Quotas: map[string]float64{"connection_creation_rate": 9999999}},
	})
	if err == nil {
		err = admin.WriteCredentialsAsKafka(&b, []admin.Credential{
			{User: "a", Mechanism: "SCRAM-SHA-256", Iterations: 4096}, {User: "a", Mechanism: "SCRAM-SHA-512", Iterations: 8192}, {User: "b", Mechanism: "SCRAM-SHA-512", Iterations: 4096},
		})
	}
	const want = `Quota configs for the default user-principal are request_percentage=50.0
Quota configs for user-principal 'bob', client-id 'c1' are consumer_byte_rate=1.0E7, producer_byte_rate=1.2345678E7, request_percentage=0.5
Quota configs for the default ip are connection_creation_rate=9999999.0
SCRAM credential configs for user-principal 'a' are SCRAM-SHA-256=iterations=4096, SCRAM-SHA-512=iterations=8192
SCRAM credential configs for user-principal 'b' are SCRAM-SHA-512=iterations=4096
`
	if err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
	}
}
