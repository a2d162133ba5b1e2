package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/tributary-net/tributary/internal/daemon"
)

// operate runs f and, if --http asks for it, serves the consumer's metrics meanwhile.
func (o *consumeOptions) operate(ctx context.Context, c *cobra.Command, f func(ctx context.Context) error) error {
	if o.http == "" || o.http == "off" {
		return f(ctx)
	}
	log, err := daemon.NewLogger(c.ErrOrStderr(), o.logFormat, "info")
	if err != nil {
		return err
	}
	var clients kafkaClients
	clients.addClient(o.kafka.endpoint.String(), &o.metrics)
	registry := daemon.NewRegistry(versionString())
	registry.MustRegister(kafkaCollector{&clients})
	http := daemon.NewHTTP(o.http, registry, log)
	http.Ready("kafka", func() error {
		if !o.metrics.Connected() {
			return errors.New("no connection to a broker")
		}
		return nil
	})
	group := daemon.Group{Logger: log}
	group.Add(http.Part())
	group.Add(daemon.Part{Name: "consume", Run: f})
	return daemon.ListenError(group.Run(ctx))
}
