package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

func newQuotas() *cobra.Command {
	c := &cobra.Command{
		Use:   "quotas",
		Short: "List, set and delete what clients may take",
		Example: `  tributary quotas list
  tributary quotas set --user alice producer_byte_rate=1MiB consumer_byte_rate=4MiB`,
	}
	k := clusterParent(c)
	c.AddCommand(newQuotasList(k), newQuotasSet(k), newQuotasDelete(k))
	return c
}

// quotasOptions are the options of one command under quotas.
type quotasOptions struct {
	kafka    *kafkaOptions
	output   string
	list     bool
	name     [3]string // in the order of admin.QuotaTypes
	defaults [3]bool
	any      []string
	only     bool
	entity   admin.QuotaEntity // after check
}

func (o *quotasOptions) register(fs *pflag.FlagSet, prefix string) {
	for i, t := range []struct{ name, what, all string }{
		{"user", "user", "users"}, {"client-id", "client id", "client ids"}, {"ip", "address", "addresses"},
	} {
		stringVar(fs, &o.name[i], prefix+t.name, "of this "+t.what)
		boolVar(fs, &o.defaults[i], prefix+t.name+"-default", "of the "+t.all+" that have no quota of their own")
	}
	if o.list {
		outputKafkaVar(fs, &o.output, prefix, "kafka-configs.sh")
		listVar(fs, &o.any, prefix+"any", "part", oneOf(admin.QuotaTypes...), "of any user, client-id or ip (repeatable)")
		boolVar(fs, &o.only, prefix+"only", "of just what is named: of a user without a client id, of a client id without a user")
	}
}

func (o *quotasOptions) check() error {
	o.entity = admin.QuotaEntity{}
	for i, t := range admin.QuotaTypes {
		switch {
		case o.name[i] != "" && o.defaults[i]:
			return fmt.Errorf("--%s and --%s-default exclude each other", t, t)
		case o.name[i] != "":
			o.entity[t] = &o.name[i]
		case o.defaults[i]:
			o.entity[t] = nil
		default:
			continue
		}
		if slices.Contains(o.any, t) {
			return fmt.Errorf("--any %s excludes --%s and --%s-default", t, t, t)
		}
	}
	return o.kafka.check()
}

// asKafka prints quotas as Kafka's script does, and the credentials of users after those of users.
func (o *quotasOptions) asKafka(ctx context.Context, out io.Writer, cl *kgo.Client, quotas []admin.Quota) error {
	err := admin.WriteQuotasAsKafka(out, quotas)
	user, one := o.entity["user"]
	of := user != nil && len(o.entity) == 1 && len(o.any) == 0 || len(o.entity) == 0 && slices.Equal(o.any, []string{"user"})
	if err != nil || !of {
		return err
	}
	credentials, err := admin.ListUsers(ctx, cl)
	if err != nil {
		return err
	}
	if one {
		credentials = slices.DeleteFunc(credentials, func(c admin.Credential) bool { return c.User != *user })
	}
	return admin.WriteCredentialsAsKafka(out, credentials)
}

func newQuotasList(k *kafkaOptions) *cobra.Command {
	o := &quotasOptions{kafka: k, output: "text", list: true}
	return clusterCommand(&cobra.Command{
		Use:   "list",
		Short: "List quotas, all or those of users, client ids and addresses",
		Example: `  tributary quotas list
  tributary quotas list --user alice --any client-id
  tributary quotas list --user-default --only --output json`,
		Args: cobra.NoArgs,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, _ []string) error {
		quotas, err := admin.ListQuotas(ctx, cl, o.entity, o.any, o.only)
		if err != nil {
			return err
		}
		if o.output == "kafka" {
			return o.asKafka(ctx, out, cl, quotas)
		}
		return table(out, o.output, "USER\tCLIENT-ID\tIP\tQUOTA\tVALUE", func(row func(v any, cells ...any) error) error {
			var errs []error
			for _, q := range quotas {
				if o.output == "json" {
					errs = append(errs, row(q))
					continue
				}
				var who []any
				for _, t := range admin.QuotaTypes {
					text := ""
					if name, ok := q.Entity[t]; ok {
						text = admin.QuotaName(name)
					}
					who = append(who, text)
				}
				for _, name := range slices.Sorted(maps.Keys(q.Quotas)) {
					errs = append(errs, row(nil, append(slices.Clone(who), name, strconv.FormatFloat(q.Quotas[name], 'f', -1, 64))...))
				}
			}
			return errors.Join(errs...)
		})
	})
}

// quotaValue reads a number; a rate of bytes may have a unit.
func quotaValue(name, s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && strings.HasSuffix(name, "_byte_rate") {
		var n int64
		n, err = parseSize(s)
		f = float64(n)
	}
	if err != nil || !(f > 0) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%s: bad value %q: allowed are numbers above 0; a rate of bytes may have a unit, as 1MiB", name, s)
	}
	return f, nil
}

func newQuotasSet(k *kafkaOptions) *cobra.Command {
	o := &quotasOptions{kafka: k}
	return clusterCommand(&cobra.Command{
		Use:   "set QUOTA=VALUE...",
		Short: "Set quotas of a user, a client id, both, or an address",
		Long: `Set quotas of a user, a client id, a user with a client id, or an address; or of those
that have none of their own (--user-default and so on).

producer_byte_rate and consumer_byte_rate are bytes a second, request_percentage is
time of the broker's threads, controller_mutation_rate topics and partitions made and
deleted a second; connection_creation_rate, connections a second, is for addresses.`,
		Example: `  tributary quotas set --user alice producer_byte_rate=1MiB consumer_byte_rate=4MiB
  tributary quotas set --user alice --client-id backup consumer_byte_rate=64KiB
  tributary quotas set --client-id-default request_percentage=50
  tributary quotas set --ip 192.0.2.7 connection_creation_rate=10`,
		Args: cobra.MinimumNArgs(1),
	}, k, o, func(ctx context.Context, _ io.Writer, cl *kgo.Client, args []string) error {
		set := map[string]float64{}
		for _, a := range args {
			if err := checkPair(a); err != nil {
				return fmt.Errorf("%q: %w", a, err)
			}
			name, value, _ := strings.Cut(a, "=")
			v, err := quotaValue(name, value)
			if err != nil {
				return err
			}
			if _, twice := set[name]; twice {
				return fmt.Errorf("%s is set twice", name)
			}
			set[name] = v
		}
		return admin.ChangeQuotas(ctx, cl, o.entity, set, nil)
	})
}

func newQuotasDelete(k *kafkaOptions) *cobra.Command {
	o := &quotasOptions{kafka: k}
	return clusterCommand(&cobra.Command{
		Use:   "delete [QUOTA...]",
		Short: "Delete quotas; without a name all of the user, client id or address",
		Example: `  tributary quotas delete --user alice producer_byte_rate
  tributary quotas delete --client-id-default`,
	}, k, o, func(ctx context.Context, _ io.Writer, cl *kgo.Client, args []string) error {
		if len(args) == 0 {
			return admin.RemoveQuotas(ctx, cl, o.entity)
		}
		return admin.ChangeQuotas(ctx, cl, o.entity, nil, args)
	})
}
