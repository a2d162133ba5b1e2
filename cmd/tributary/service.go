package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-net/tributary/internal/daemon"
)

// serviceOptions are what every long-running command takes besides its own.
type serviceOptions struct {
	http      string
	logFormat string
	logLevel  string
	grace     time.Duration
}

// newServiceOptions has the command's address for operations as the default.
func newServiceOptions(http string) serviceOptions {
	return serviceOptions{http: http, logFormat: "text", logLevel: "info", grace: daemon.DefaultGrace}
}

func (o *serviceOptions) register(fs *pflag.FlagSet, prefix string) {
	textVar(fs, &o.http, prefix+"http", "host:port|off", checkHTTP, "serve /metrics, /healthz, /readyz and /debug/pprof/ here")
	enumVar(fs, &o.logFormat, prefix+"log-format", daemon.LogFormats, "how to write the log")
	enumVar(fs, &o.logLevel, prefix+"log-level", daemon.LogLevels, "log this and what is worse")
	durationVar(fs, &o.grace, prefix+"grace", time.Second, time.Hour, "how long to go on delivering what was taken in when told to stop")
	share(fs, prefix+"log-format", prefix+"log-level")
}

func checkHTTP(s string) error {
	if s == "" || s == "off" {
		return nil
	}
	return checkAddress(s)
}

// serviceCommand joins a command's own options with those of every service.
type serviceCommand struct {
	own     options
	service *serviceOptions
}

func (o serviceCommand) register(fs *pflag.FlagSet, prefix string) {
	o.own.register(fs, prefix)
	o.service.register(fs, prefix)
}

func (o serviceCommand) derive(s *settings) error {
	if d, ok := o.own.(deriver); ok {
		return d.derive(s)
	}
	return nil
}

func (o serviceCommand) check() error { return o.own.check() }

// service is a long-running command while it is being put together and runs:
// parts are added in the order in which data needs them, what is written to
// first.
type service struct {
	log      *slog.Logger
	registry *prometheus.Registry
	http     *daemon.HTTP
	clients  kafkaClients // of Kafka, for their metrics
	group    daemon.Group
}

// runService runs what build adds until a signal or the end of a part.
func runService(c *cobra.Command, o *serviceOptions, build func(ctx context.Context, s *service) error) error {
	log, err := daemon.NewLogger(c.ErrOrStderr(), o.logFormat, o.logLevel)
	if err != nil {
		return err
	}
	ctx, stop := daemon.Signals(c.Context(), log, nil)
	defer stop()
	s := &service{log: log, registry: daemon.NewRegistry(versionString())}
	s.registry.MustRegister(kafkaCollector{&s.clients})
	s.http = daemon.NewHTTP(o.http, s.registry, log)
	s.group = daemon.Group{Logger: log, Grace: o.grace}
	// Operations come first: they are there while everything else starts and
	// stops.
	s.group.Add(s.http.Part())
	if err := build(ctx, s); err != nil {
		return err
	}
	return daemon.ListenError(s.group.Run(ctx))
}
