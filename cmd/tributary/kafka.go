package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/daemon"
	"github.com/tributary-net/tributary/internal/kafka"
)

const defaultBroker = "127.0.0.1:9092"

// kafkaOptions say which cluster a command works on.
type kafkaOptions struct {
	url     string
	config  string
	timeout time.Duration

	endpoint kafka.Endpoint // after check
	without  []string       // properties of the file that have no effect
}

func defaultKafkaOptions() *kafkaOptions { return &kafkaOptions{timeout: 10 * time.Second} }

func (o *kafkaOptions) register(fs *pflag.FlagSet, prefix string) {
	textVar(fs, &o.url, prefix+"kafka", "url", checkKafka, "the cluster, kafka://host:port,... or kafka-ssl://... (default kafka://"+defaultBroker+")")
	stringVar(fs, &o.config, prefix+"kafka-config", "`file` of properties as a Java client has them: TLS, SASL, timeouts")
	durationVar(fs, &o.timeout, prefix+"kafka-timeout", 100*time.Millisecond, time.Hour, "wait this long for the cluster's first answer")
	share(fs, prefix+"kafka", prefix+"kafka-config", prefix+"kafka-timeout")
}

func checkKafka(s string) error {
	e, err := kafka.ParseEndpoint(s)
	if err == nil && e.Embedded {
		err = errors.New("allowed are kafka:// and kafka-ssl://; embedded: is the broker of up")
	}
	return err
}

func (o *kafkaOptions) check() error {
	url := o.url
	if url == "" {
		url = "kafka://"
	}
	e, err := kafka.ParseEndpoint(url)
	if err != nil {
		return bad("kafka", o.url, err.Error())
	}
	var p kafka.Properties
	if o.config != "" {
		if p, o.without, err = kafka.ReadProperties(o.config); err != nil {
			return bad("kafka-config", o.config, err.Error())
		}
	}
	if o.endpoint, err = e.With(p); err != nil {
		return bad("kafka-config", o.config, err.Error())
	}
	if len(o.endpoint.Brokers) == 0 {
		o.endpoint.Brokers = []string{defaultBroker}
	}
	return nil
}

// property sets a property from a flag of the command, over what URL and file say.
func (o *kafkaOptions) property(name, value string) error {
	if value == "" {
		return nil
	}
	e, err := o.endpoint.Override(name, value)
	if err != nil {
		return err
	}
	o.endpoint = e
	return nil
}

// client connects to the cluster and waits for its first answer.
func (o *kafkaOptions) client(ctx context.Context, c *cobra.Command, more ...kgo.Opt) (*kgo.Client, error) {
	log, err := daemon.NewLogger(c.ErrOrStderr(), "text", "info")
	if err != nil {
		return nil, err
	}
	opts, err := o.endpoint.ClientOptions(kafka.ClientConfig{Version: versionString(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if len(o.without) > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "%s: no effect here: %s\n", o.config, strings.Join(o.without, ", "))
	}
	quiet := &firstAnswer{watch: kafka.NewWatch(o.endpoint, log)}
	cl, err := kgo.NewClient(append(append(opts, kgo.WithHooks(quiet)), more...)...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := o.endpoint.Reach(ctx, cl); err != nil {
		cl.Close()
		return nil, err
	}
	quiet.answered.Store(true)
	return cl, nil
}

// interruptible returns a context that ends at the first SIGINT or SIGTERM; the
// next one kills.
func interruptible(c *cobra.Command) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
