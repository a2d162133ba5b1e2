package broker

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestDocs holds the table in docs/kafka.md against what is served.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../docs/kafka.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| (\w+) \| (\d+-\d+) \|`).FindAllStringSubmatch(string(b), -1) {
		documented[row[1]] = row[2] + " " + row[3]
	}
	for _, a := range apiTable(servedAPIs()) {
		if a == nil {
			continue
		}
		name := a.name
		if a.key == kmsg.AlterPartitionAssignments.Int16() {
			name = "AlterPartitionReassignments" // as Kafka writes it
		}
		key, want := fmt.Sprint(a.key), fmt.Sprintf("%s %d-%d", name, a.min, a.max)
		if !strings.EqualFold(documented[key], want) { // Kafka writes Sasl where Go writes SASL
			t.Errorf("key %s is documented as %q, served is %q", key, documented[key], want)
		}
		delete(documented, key)
	}
	for key, row := range documented {
		t.Errorf("key %s is documented as %q and not served", key, row)
	}
}
