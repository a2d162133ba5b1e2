package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/kafka/admin"
	"github.com/tributary-net/tributary/internal/kafkaconfig"
	"github.com/tributary-net/tributary/internal/kafkascripts"
)

// formatStorage makes the data directory of server.properties, with the id of its cluster and users: a broker makes it that
// listens nowhere.
func formatStorage(ctx context.Context, f *kafkascripts.Storage, stdout io.Writer) error {
	properties, err := kafkaconfig.ReadServer(f.Properties, nil)
	if err != nil {
		return err
	}
	cfg := broker.DefaultConfig()
	if _, err := kafkaconfig.Server(&cfg, properties); err != nil {
		return err
	}
	cfg.Listen, cfg.Listeners, cfg.AdvertisedAddress, cfg.ClusterID = "", nil, "", f.ClusterID
	if err := checkOwnData(cfg); err != nil {
		return err
	}
	switch _, err := os.Stat(filepath.Join(cfg.DataDir, "meta.properties")); {
	case err == nil && f.Again:
		fmt.Fprintln(stdout, "All of the log directories are already formatted.")
		return nil
	case err == nil:
		return fmt.Errorf("log directory %s is already formatted; --ignore-formatted leaves it as it is", cfg.DataDir)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	b, err := broker.Open(cfg)
	if err != nil {
		return brokerError(err)
	}
	fmt.Fprintf(stdout, "Formatting data directory %s of cluster %s.\n", cfg.DataDir, f.ClusterID)
	return errors.Join(addScramUsers(ctx, &embeddedBroker{b}, f.Users), b.Close())
}

// addScramUsers gives users their passwords.
func addScramUsers(ctx context.Context, b *embeddedBroker, users []kafkascripts.ScramUser) error {
	if len(users) == 0 {
		return nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers("embedded:9092"), kgo.Dialer(b.Dial))
	if err != nil {
		return err
	}
	defer cl.Close()
	for _, u := range users {
		if u.Password != "" {
			err = admin.SetPassword(ctx, cl, u.Name, u.Password, u.Iterations, u.Mechanism)
		} else {
			err = admin.SetSaltedPassword(ctx, cl, u.Name, u.Salt, u.SaltedPassword, u.Iterations, u.Mechanism)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
