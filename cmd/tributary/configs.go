package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka"
	"github.com/tributary-net/tributary/internal/kafka/admin"
)

func newConfigs() *cobra.Command {
	c := &cobra.Command{
		Use:   "configs",
		Short: "Show and change configuration of topics, brokers and groups",
		Example: `  tributary configs describe topic flows
  tributary configs alter topic flows --set retention.ms=3600000`,
	}
	k := clusterParent(c)
	c.AddCommand(newConfigsDescribe(k), newConfigsAlter(k))
	return c
}

// kindHelp explains the first argument of the commands below configs.
const kindHelp = `
The first argument says what kind of thing is meant: topic, broker, broker-default
(what holds for all brokers), group, client-metrics, broker-logger. Brokers and
loggers are named by the broker's id.`

// resources reads KIND NAME... .
func resources(args []string) ([]admin.Resource, error) {
	kind, names := args[0], args[1:]
	if kind == "broker-default" {
		if len(names) > 0 {
			return nil, errors.New("broker-default is for all brokers and takes no name")
		}
		return []admin.Resource{{Kind: admin.BrokerResource}}, nil
	}
	if !slices.Contains(admin.ResourceKinds(), admin.ResourceKind(kind)) {
		return nil, fmt.Errorf("nothing of kind %q has configuration: allowed are topic, broker, broker-default, group, client-metrics, broker-logger", kind)
	}
	var rs []admin.Resource
	for _, n := range names {
		if _, err := strconv.ParseUint(n, 10, 31); err != nil && (kind == "broker" || kind == "broker-logger") {
			return nil, fmt.Errorf("%s %q: allowed are ids of brokers", kind, n)
		}
		if n == "" {
			return nil, fmt.Errorf("a %s has a name", kind)
		}
		rs = append(rs, admin.Resource{Kind: admin.ResourceKind(kind), Name: n})
	}
	return rs, nil
}

// configsDescribeOptions are the options of configs describe.
type configsDescribeOptions struct {
	kafka  *kafkaOptions
	output string
	all    bool
}

func (o *configsDescribeOptions) register(fs *pflag.FlagSet, prefix string) {
	outputKafkaVar(fs, &o.output, prefix, "kafka-configs.sh")
	boolVar(fs, &o.all, prefix+"all", "show everything with what stands behind it, not just what was set on the thing itself")
}

func (o *configsDescribeOptions) check() error { return o.kafka.check() }

func newConfigsDescribe(k *kafkaOptions) *cobra.Command {
	o := &configsDescribeOptions{kafka: k, output: "text"}
	return clusterCommand(&cobra.Command{
		Use:   "describe KIND [NAME...]",
		Short: "Show configuration",
		Long: `Show what was set on a topic, a broker, a group; with --all also what is inherited or
default, and with which synonyms. Without a name it shows all topics, or brokers, or
whatever there is of the kind.
` + kindHelp,
		Example: `  tributary configs describe topic flows
  tributary configs describe topic flows --all
  tributary configs describe broker 1 --all --output json
  tributary configs describe broker-default`,
		Args: cobra.MinimumNArgs(1),
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		rs, err := resources(args)
		if err == nil && len(rs) == 0 {
			rs, err = admin.Resources(ctx, cl, admin.ResourceKind(args[0]), o.output == "kafka")
		}
		if err != nil {
			return err
		}
		if o.output == "kafka" {
			if len(args) == 1 && args[0] == string(admin.BrokerResource) {
				rs = append(rs, admin.Resource{Kind: admin.BrokerResource}) // what is set for all is shown too
			}
			there, err := admin.Resources(ctx, cl, admin.ResourceKind(strings.TrimSuffix(args[0], "-default")), true)
			if err != nil {
				return err
			}
			return each(rs, func(r admin.Resource) error {
				if !o.all && r.Name != "" && !slices.Contains(there, r) {
					_, err := fmt.Fprintf(out, "The %s '%s' doesn't exist and doesn't have dynamic config.\n", r.KafkaKind(), r.Name)
					return err
				}
				settings, err := admin.Settings(ctx, cl, r, o.all)
				if err != nil {
					return err
				}
				return admin.WriteSettingsAsKafka(out, r, settings, o.all)
			})
		}
		head := "KIND\tNAME\tCONFIG\tVALUE\tSOURCE"
		if o.all {
			head += "\tSYNONYMS"
		}
		return table(out, o.output, head, func(row func(v any, cells ...any) error) error {
			var errs []error
			for _, r := range rs {
				settings, err := admin.Settings(ctx, cl, r, o.all)
				errs = append(errs, err)
				for _, s := range settings {
					cells := []any{s.Kind, s.Resource, s.Name, valueText(s.Value, s.Sensitive), s.Source}
					if o.all {
						var behind []string
						for _, y := range s.Synonyms {
							behind = append(behind, y.Source+":"+y.Name+"="+valueText(y.Value, s.Sensitive))
						}
						cells = append(cells, strings.Join(behind, ", "))
					}
					errs = append(errs, row(s, cells...))
				}
			}
			return errors.Join(errs...)
		})
	})
}

// valueText is how a table shows a value.
func valueText(v *string, sensitive bool) string {
	switch {
	case sensitive:
		return "(hidden)"
	case v == nil:
		return ""
	}
	return *v
}

// configsAlterOptions are the options of configs alter.
type configsAlterOptions struct {
	kafka    *kafkaOptions
	set      []string
	setFile  string
	unset    []string
	append   []string
	subtract []string
	dryRun   bool
}

func (o *configsAlterOptions) register(fs *pflag.FlagSet, prefix string) {
	listVar(fs, &o.set, prefix+"set", "name=value", checkPair, "set this (repeatable)")
	stringVar(fs, &o.setFile, prefix+"set-file", "set what this properties `file` says")
	listVar(fs, &o.unset, prefix+"unset", "name", nil, "put this back to what is inherited or default (repeatable)")
	listVar(fs, &o.append, prefix+"append", "name=value", checkPair, "add the value to a list (repeatable)")
	listVar(fs, &o.subtract, prefix+"subtract", "name=value", checkPair, "take the value out of a list (repeatable)")
	boolVar(fs, &o.dryRun, prefix+"dry-run", "have the cluster check it, and change nothing")
}

func (o *configsAlterOptions) check() error { return o.kafka.check() }

// changes are what the options say, in their order.
func (o *configsAlterOptions) changes() ([]admin.SettingChange, error) {
	var all []admin.SettingChange
	if o.setFile != "" {
		text, err := os.ReadFile(o.setFile)
		if err != nil {
			return nil, err
		}
		err = kafka.EachProperty(text, func(_ int, name, value string) error {
			// As in all such files a later line wins.
			all = slices.DeleteFunc(all, func(c admin.SettingChange) bool { return c.Name == name })
			all = append(all, admin.SettingChange{Op: admin.Set, Name: name, Value: value})
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.setFile, err)
		}
	}
	for _, l := range []struct {
		op   admin.SettingOp
		list []string
	}{{admin.Set, o.set}, {admin.Unset, o.unset}, {admin.Append, o.append}, {admin.Subtract, o.subtract}} {
		for _, s := range l.list {
			name, value, _ := strings.Cut(s, "=")
			if slices.ContainsFunc(all, func(c admin.SettingChange) bool { return c.Name == name }) {
				return nil, fmt.Errorf("%s is changed twice", name)
			}
			all = append(all, admin.SettingChange{Op: l.op, Name: name, Value: value})
		}
	}
	if len(all) == 0 {
		return nil, errors.New("nothing to change; allowed are --set, --set-file, --unset, --append and --subtract")
	}
	return all, nil
}

func newConfigsAlter(k *kafkaOptions) *cobra.Command {
	o := &configsAlterOptions{kafka: k}
	return clusterCommand(&cobra.Command{
		Use:   "alter KIND NAME...",
		Short: "Change configuration",
		Long: `Change configuration of a topic, a broker, a group. What is not named stays as it is.
` + kindHelp,
		Example: `  tributary configs alter topic flows --set retention.ms=3600000 --unset retention.bytes
  tributary configs alter topic state --append cleanup.policy=delete
  tributary configs alter broker-default --set log.retention.ms=86400000 --dry-run`,
		Args: cobra.MinimumNArgs(1),
	}, k, o, func(ctx context.Context, _ io.Writer, cl *kgo.Client, args []string) error {
		changes, err := o.changes()
		if err != nil {
			return err
		}
		rs, err := resources(args)
		if err != nil {
			return err
		}
		if len(rs) == 0 {
			return fmt.Errorf("no %s; name one", args[0])
		}
		var errs []error
		for _, r := range rs {
			errs = append(errs, admin.ChangeSettings(ctx, cl, r, changes, o.dryRun))
		}
		return errors.Join(errs...)
	})
}
