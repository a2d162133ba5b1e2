package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newCluster() *cobra.Command {
	c := &cobra.Command{
		Use:   "cluster",
		Short: "Show what a cluster is made of: its id, requests it serves, its disks",
		Example: `  tributary cluster id
  tributary cluster log-dirs --topic flows`,
	}
	k := clusterParent(c)
	c.AddCommand(newClusterID(k), newClusterAPIVersions(k), newClusterLogDirs(k), newClusterBrokers(k), newClusterFeatures(k), newClusterUnregister(k))
	return c
}

// clusterInfoOptions are the options of the commands below cluster.
type clusterInfoOptions struct {
	kafka   *kafkaOptions
	output  string
	script  string
	brokers []string
	topics  []string

	takesFenced, fenced bool
}

func (o *clusterInfoOptions) register(fs *pflag.FlagSet, prefix string) {
	outputKafkaVar(fs, &o.output, prefix, o.script)
	if o.takesFenced {
		boolVar(fs, &o.fenced, prefix+"fenced", "those that are registered but do not take part too")
	}
	if o.script == "kafka-log-dirs.sh" {
		listVar(fs, &o.brokers, prefix+"broker", "number", checkPartition, "only this broker (repeatable)")
		listVar(fs, &o.topics, prefix+"topic", "name", nil, "only this topic (repeatable)")
	}
}

func (o *clusterInfoOptions) check() error { return o.kafka.check() }

func newClusterID(k *kafkaOptions) *cobra.Command {
	o := &clusterInfoOptions{kafka: k, output: "text", script: "kafka-cluster.sh"}
	return clusterCommand(&cobra.Command{
		Use:     "id",
		Short:   "Show the cluster's id and its brokers",
		Example: `  tributary cluster id --output json`,
		Args:    cobra.NoArgs,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, _ []string) error {
		m, err := kadm.NewClient(cl).BrokerMetadata(ctx)
		if err != nil {
			return err
		}
		if o.output == "kafka" {
			_, err := fmt.Fprintf(out, "Cluster ID: %s\n", m.Cluster)
			return err
		}
		return table(out, o.output, "CLUSTER\tBROKER\tADDRESS\tCONTROLLER", func(row func(v any, cells ...any) error) error {
			for _, b := range m.Brokers {
				is := b.NodeID == m.Controller
				address := fmt.Sprintf("%s:%d", b.Host, b.Port)
				if err := row(map[string]any{"cluster": m.Cluster, "broker": b.NodeID, "address": address, "controller": is}, m.Cluster, b.NodeID, address, is); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func newClusterAPIVersions(k *kafkaOptions) *cobra.Command {
	o := &clusterInfoOptions{kafka: k, output: "text", script: "kafka-broker-api-versions.sh"}
	return clusterCommand(&cobra.Command{
		Use:     "api-versions",
		Short:   "Show which requests each broker serves, in which versions",
		Example: `  tributary cluster api-versions`,
		Args:    cobra.NoArgs,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, _ []string) error {
		adm := kadm.NewClient(cl)
		m, err := adm.BrokerMetadata(ctx)
		if err != nil {
			return err
		}
		served, err := adm.ApiVersions(ctx)
		if err != nil {
			return err
		}
		var errs []error
		all := func(row func(broker kadm.BrokerDetail, last bool, key, lowest, highest int16, name string) error) error {
			for _, b := range m.Brokers {
				v := served[b.NodeID]
				errs = append(errs, v.Err)
				var keys []int16
				v.EachKeySorted(func(key, _, _ int16) { keys = append(keys, key) })
				for i, key := range keys {
					lowest, highest, _ := v.KeyVersions(key)
					if err := row(b, i == len(keys)-1, key, lowest, highest, kmsg.NameForKey(key)); err != nil {
						return err
					}
				}
			}
			return nil
		}
		if o.output == "kafka" {
			begin := true
			err := all(func(b kadm.BrokerDetail, last bool, key, lowest, highest int16, name string) error {
				if begin {
					rack := "null"
					if b.Rack != nil {
						rack = *b.Rack
					}
					fmt.Fprintf(out, "%s:%d (id: %d rack: %s isFenced: false) -> (\n", b.Host, b.Port, b.NodeID, rack)
				}
				end := ","
				if begin = last; last {
					end = "\n)"
				}
				versions := fmt.Sprintf("%d to %d", lowest, highest)
				if lowest == highest {
					versions = fmt.Sprint(lowest)
				}
				_, err := fmt.Fprintf(out, "\t%s(%d): %s [usable: %d]%s\n", name, key, versions, highest, end)
				return err
			})
			return errors.Join(append(errs, err)...)
		}
		err = table(out, o.output, "BROKER\tKEY\tREQUEST\tLOWEST\tHIGHEST", func(row func(v any, cells ...any) error) error {
			return all(func(b kadm.BrokerDetail, _ bool, key, lowest, highest int16, name string) error {
				return row(map[string]any{"broker": b.NodeID, "key": key, "request": name, "lowest": lowest, "highest": highest}, b.NodeID, key, name, lowest, highest)
			})
		})
		return errors.Join(append(errs, err)...)
	})
}

// logDirs are the directories of a cluster as kafka-log-dirs.sh prints them.
type logDirs struct {
	Brokers []logDirsBroker `json:"brokers"`
	Version int             `json:"version"`
}

type logDirsBroker struct {
	Broker int32    `json:"broker"`
	Dirs   []logDir `json:"logDirs"`
}

type logDir struct {
	Partitions []logDirPartition `json:"partitions"`
	Error      *string           `json:"error"`
	Dir        string            `json:"logDir"`
}

type logDirPartition struct {
	Partition string `json:"partition"`
	Size      int64  `json:"size"`
	OffsetLag int64  `json:"offsetLag"`
	IsFuture  bool   `json:"isFuture"`
}

func newClusterLogDirs(k *kafkaOptions) *cobra.Command {
	o := &clusterInfoOptions{kafka: k, output: "text", script: "kafka-log-dirs.sh"}
	return clusterCommand(&cobra.Command{
		Use:   "log-dirs",
		Short: "Show the directories of brokers and what partitions take in them",
		Example: `  tributary cluster log-dirs
  tributary cluster log-dirs --topic flows --output json`,
		Args: cobra.NoArgs,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, _ []string) error {
		described, err := kadm.NewClient(cl).DescribeAllLogDirs(ctx, nil)
		if err != nil {
			return err
		}
		all := logDirs{Version: 1, Brokers: []logDirsBroker{}}
		var errs []error
		var ids []string
		for _, dirs := range described {
			for _, d := range dirs.Sorted() {
				if len(o.brokers) > 0 && !slices.Contains(o.brokers, fmt.Sprint(d.Broker)) {
					continue
				}
				i := slices.IndexFunc(all.Brokers, func(b logDirsBroker) bool { return b.Broker == d.Broker })
				if i < 0 {
					all.Brokers = append(all.Brokers, logDirsBroker{Broker: d.Broker})
					i = len(all.Brokers) - 1
				}
				one := logDir{Dir: d.Dir, Partitions: []logDirPartition{}}
				if d.Err != nil {
					text := d.Err.Error()
					one.Error = &text
					errs = append(errs, fmt.Errorf("broker %d: %s: %w", d.Broker, d.Dir, d.Err))
				}
				for _, p := range d.Topics.Sorted() {
					if len(o.topics) == 0 || slices.Contains(o.topics, p.Topic) {
						one.Partitions = append(one.Partitions, logDirPartition{fmt.Sprintf("%s-%d", p.Topic, p.Partition), p.Size, p.OffsetLag, p.IsFuture})
					}
				}
				all.Brokers[i].Dirs = append(all.Brokers[i].Dirs, one)
			}
		}
		slices.SortFunc(all.Brokers, func(a, b logDirsBroker) int { return cmp.Compare(a.Broker, b.Broker) })
		for _, b := range all.Brokers {
			ids = append(ids, fmt.Sprint(b.Broker))
		}
		if o.output == "kafka" {
			fmt.Fprintf(out, "Querying brokers for log directories information\nReceived log directory information from brokers %s\n", strings.Join(ids, ","))
			return errors.Join(append(errs, json.NewEncoder(out).Encode(all))...)
		}
		err = table(out, o.output, "BROKER\tDIRECTORY\tPARTITION\tBYTES\tLAG", func(row func(v any, cells ...any) error) error {
			for _, b := range all.Brokers {
				for _, d := range b.Dirs {
					for _, p := range d.Partitions {
						v := map[string]any{"broker": b.Broker, "directory": d.Dir, "partition": p.Partition, "bytes": p.Size, "lag": p.OffsetLag, "future": p.IsFuture}
						if err := row(v, b.Broker, d.Dir, p.Partition, p.Size, p.OffsetLag); err != nil {
							return err
						}
					}
				}
			}
			return nil
		})
		return errors.Join(append(errs, err)...)
	})
}
