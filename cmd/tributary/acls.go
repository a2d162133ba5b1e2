package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

func newACLs() *cobra.Command {
	c := &cobra.Command{
		Use:   "acls",
		Short: "List, add and remove who may do what",
		Example: `  tributary acls list --topic flows
  tributary acls add --allow-principal User:alice --consumer --topic flows --group viewers`,
	}
	k := clusterParent(c)
	c.AddCommand(newACLsList(k), newACLsAdd(k), newACLsRemove(k))
	return c
}

// aclsOptions are the options of one command under acls.
type aclsOptions struct {
	kafka  *kafkaOptions
	output string
	spec   admin.ACLSpec
	find   bool // for ACLs that are there
	remove bool
	dryRun bool
}

func (o *aclsOptions) register(fs *pflag.FlagSet, prefix string) {
	outputKafkaVar(fs, &o.output, prefix, "kafka-acls.sh")
	s := &o.spec
	listVar(fs, &s.Topics, prefix+"topic", "name", nil, "topic; * is all (repeatable)")
	listVar(fs, &s.Groups, prefix+"group", "name", nil, "consumer group; * is all (repeatable)")
	listVar(fs, &s.TransactionalIDs, prefix+"transactional-id", "name", nil, "transactional id; * is all (repeatable)")
	listVar(fs, &s.DelegationTokens, prefix+"delegation-token", "name", nil, "delegation token; * is all (repeatable)")
	listVar(fs, &s.Users, prefix+"user-principal", "principal", admin.CheckPrincipal, "user whose delegation tokens are meant (repeatable)")
	boolVar(fs, &s.Cluster, prefix+"cluster", "the cluster")
	if o.find {
		enumVar(fs, &s.Pattern, prefix+"pattern", []string{"any", "match", "literal", "prefixed"}, "how the names are meant: literal and prefixed as the ACL has them, any of both, match: all that apply to the name")
		listVar(fs, &s.Principals, prefix+"principal", "principal", admin.CheckPrincipal, "who is allowed or denied, such as User:alice (repeatable)")
	} else {
		enumVar(fs, &s.Pattern, prefix+"pattern", []string{"literal", "prefixed"}, "how the names are meant: literal, or prefixed for all names that begin so")
	}
	listVar(fs, &s.Allow, prefix+"allow-principal", "principal", admin.CheckPrincipal, "who is allowed, such as User:alice; User:* is everybody (repeatable)")
	listVar(fs, &s.Deny, prefix+"deny-principal", "principal", admin.CheckPrincipal, "who is denied, whatever else allows it (repeatable)")
	listVar(fs, &s.AllowHosts, prefix+"allow-host", "address", nil, "address from which it is allowed; * is all (repeatable)")
	listVar(fs, &s.DenyHosts, prefix+"deny-host", "address", nil, "address from which it is denied; * is all (repeatable)")
	listVar(fs, &s.Operations, prefix+"operation", "operation", admin.CheckOperation, "read, write, create, delete, alter, describe, describe-configs, alter-configs, cluster-action, idempotent-write, all (repeatable)")
	boolVar(fs, &s.Producer, prefix+"producer", "what a producer needs on topics and transactional ids: write, create, describe")
	boolVar(fs, &s.Consumer, prefix+"consumer", "what a consumer needs on topics and groups: read, describe")
	boolVar(fs, &s.Idempotent, prefix+"idempotent", "with --producer: idempotent-write on the cluster, which brokers before Kafka 3.0 ask for")
	if o.remove {
		boolVar(fs, &o.dryRun, prefix+"dry-run", "print what would be removed, and remove nothing")
	}
}

func (o *aclsOptions) check() error { return o.kafka.check() }

// print prints ACLs.
func (o *aclsOptions) print(out io.Writer, acls []admin.ACL) error {
	switch {
	case o.output != "kafka":
	case o.remove:
		return nil
	case o.find:
		for _, p := range o.spec.Principals {
			fmt.Fprintf(out, "ACLs for principal `%s`\n", p)
		}
		return admin.WriteACLsAsKafka(out, "Current", acls)
	default:
		return admin.WriteACLsAsKafka(out, "Adding", acls)
	}
	return table(out, o.output, "RESOURCE\tNAME\tPATTERN\tPRINCIPAL\tHOST\tOPERATION\tPERMISSION", func(row func(v any, cells ...any) error) error {
		for _, a := range acls {
			if err := row(a, a.Resource, a.Name, a.Pattern, a.Principal, a.Host, a.Operation, a.Permission); err != nil {
				return err
			}
		}
		return nil
	})
}

func newACLsList(k *kafkaOptions) *cobra.Command {
	o := &aclsOptions{kafka: k, output: "text", find: true}
	o.spec.Pattern = "any"
	return clusterCommand(&cobra.Command{
		Use:   "list",
		Short: "List ACLs, all or those on a resource or of a principal",
		Example: `  tributary acls list
  tributary acls list --topic flows --pattern match
  tributary acls list --principal User:alice --output json`,
		Args: cobra.NoArgs,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, _ []string) error {
		acls, err := admin.ListACLs(ctx, cl, &o.spec)
		if err != nil {
			return err
		}
		return o.print(out, acls)
	})
}

func newACLsAdd(k *kafkaOptions) *cobra.Command {
	o := &aclsOptions{kafka: k, output: "text"}
	o.spec.Pattern = "literal"
	return clusterCommand(&cobra.Command{
		Use:   "add",
		Short: "Allow or deny principals operations on resources",
		Long: `Allow or deny principals operations on resources: each principal, from each host, each
operation on each resource. Without --operation it is all of them, without a host any.
It prints the ACLs that it added.`,
		Example: `  tributary acls add --allow-principal User:alice --operation read --operation describe --topic flows
  tributary acls add --allow-principal User:bob --producer --topic flow --pattern prefixed
  tributary acls add --allow-principal User:carol --consumer --topic flows --group viewers
  tributary acls add --deny-principal 'User:*' --deny-host 192.0.2.7 --topic '*'`,
		Args: cobra.NoArgs,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, _ []string) error {
		acls, err := admin.AddACLs(ctx, cl, &o.spec)
		if err != nil {
			return err
		}
		return o.print(out, acls)
	})
}

func newACLsRemove(k *kafkaOptions) *cobra.Command {
	o := &aclsOptions{kafka: k, output: "text", find: true, remove: true}
	o.spec.Pattern = "any"
	return clusterCommand(&cobra.Command{
		Use:   "remove",
		Short: "Remove ACLs on resources or of principals",
		Long: `Remove the ACLs that match all that is given; what is not given may be anything, so
without --operation all operations go. It prints the ACLs that it removed, and fails
when there were none.`,
		Example: `  tributary acls remove --principal User:alice --topic flows --dry-run
  tributary acls remove --allow-principal User:bob --producer --topic flow --pattern prefixed`,
		Args: cobra.NoArgs,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, _ []string) error {
		do := admin.RemoveACLs
		if o.dryRun {
			do = admin.ListACLs
		}
		acls, err := do(ctx, cl, &o.spec)
		if err == nil && len(acls) == 0 && o.output != "kafka" {
			err = errors.New("there is no such ACL")
		}
		if err != nil {
			return err
		}
		return o.print(out, acls)
	})
}
