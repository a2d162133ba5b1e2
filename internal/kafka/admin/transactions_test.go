package admin

import (
	"bytes"
	"fmt"
	"testing"
)

func TestTransactionsThatHang(t *testing.T) {
	transactions := []*Transaction{
		{ProducerID: 1, Partitions: []TopicPartitions{{"a", []int32{0, 1}}}},
		{ProducerID: 2, Partitions: []TopicPartitions{}},
		{ProducerID: 1, Partitions: []TopicPartitions{{"b", []int32{3}}}},
	}
	open := []Producer{
		{Topic: "a", Partition: 0, ProducerID: 1},
		{Topic: "a", Partition: 2, ProducerID: 1},
		{Topic: "b", Partition: 3, ProducerID: 1},
		{Topic: "a", Partition: 1, ProducerID: 2},
		{Topic: "a", Partition: 1, ProducerID: 3},
	}
	var got string
	for _, p := range unknownTo(transactions, open) {
		got += fmt.Sprintf(" %d in %s-%d", p.ProducerID, p.Topic, p.Partition)
	}
	if want := " 1 in a-2 2 in a-1 3 in a-1"; got != want {
		t.Errorf("hanging are%s, want%s", got, want)
	}
}

func TestColumnsAsKafka(t *testing.T) {
	var b bytes.Buffer
	if err := WriteTableAsKafka(&b, [][]string{{"Topic", "Partition"}, {"a-long-one", "0"}}); err != nil {
		t.Fatal(err)
	}
	if want := "Topic     \tPartition\t\na-long-one\t0        \t\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	b.Reset()
	if err := WriteGroupsAsKafka(&b, []Group{{Group: "a-name-of-more-than-20", Type: "classic"}, {Group: "g", Type: "consumer", ProtocolType: "consumer"}}); err != nil {
		t.Fatal(err)
	}
	const want = "GROUP                  TYPE                   PROTOCOL              \n" +
		"a-name-of-more-than-20 Classic                                       \n" +
		"g                      Consumer               consumer               \n"
	if b.String() != want {
		t.Errorf("%q, want\n%q", b.String(), want)
	}
}
