package broker_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/broker"
)

// A program that embeds a broker and talks to it with an ordinary Kafka client. Nothing listens on the network: with Listen
// set, any Kafka client could come too.
func Example() {
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	b, err := broker.Open(broker.Config{DataDir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()

	client, err := kgo.NewClient(
		kgo.SeedBrokers("embedded:9092"),
		kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }),
		kgo.AllowAutoTopicCreation(),
		kgo.ConsumeTopics("greetings"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	ctx := context.Background()
	record := &kgo.Record{Topic: "greetings", Value: []byte("hello")}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil { // returns when the disk has it
		log.Fatal(err)
	}
	for _, r := range client.PollFetches(ctx).Records() {
		fmt.Printf("%s at offset %d\n", r.Value, r.Offset)
	}
	// Output: hello at offset 0
}
