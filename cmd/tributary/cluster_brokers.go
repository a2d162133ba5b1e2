package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

func newClusterBrokers(k *kafkaOptions) *cobra.Command {
	o := &clusterInfoOptions{kafka: k, output: "text", script: "kafka-cluster.sh", takesFenced: true}
	return clusterCommand(&cobra.Command{
		Use:     "brokers",
		Short:   "Show the brokers of a cluster, where they are and whether they take part",
		Example: `  tributary cluster brokers --fenced`,
		Args:    cobra.NoArgs,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, _ []string) error {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType, req.IncludeFencedBrokers = 1, o.fenced
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err != nil {
			return fmt.Errorf("describe cluster: %w", admin.Problem(err))
		}
		slices.SortFunc(resp.Brokers, func(a, b kmsg.DescribeClusterResponseBroker) int { return cmp.Compare(a.NodeID, b.NodeID) })
		if o.output == "kafka" {
			return writeEndpoints(out, resp.Brokers)
		}
		return table(out, o.output, "BROKER\tADDRESS\tRACK\tFENCED", func(row func(v any, cells ...any) error) error {
			return each(resp.Brokers, func(b kmsg.DescribeClusterResponseBroker) error {
				address, rack := fmt.Sprintf("%s:%d", b.Host, b.Port), ""
				if b.Rack != nil {
					rack = *b.Rack
				}
				return row(map[string]any{"broker": b.NodeID, "address": address, "rack": b.Rack, "fenced": b.IsFenced}, b.NodeID, address, rack, b.IsFenced)
			})
		})
	})
}

// writeEndpoints writes brokers as kafka-cluster.sh list-endpoints does: columns are as wide as the longest host and rack.
func writeEndpoints(out io.Writer, brokers []kmsg.DescribeClusterResponseBroker) error {
	host, racks := 0, 0
	for _, b := range brokers {
		host = max(host, len(b.Host))
		if b.Rack != nil {
			racks = max(racks, len(*b.Rack))
		}
	}
	line := func(id, name, port, rack, state, kind string) error {
		_, err := fmt.Fprintf(out, "%-10s %-*s %-10s %-*s %-10s %-15s\n", id, host, name, port, cmp.Or(racks, 10), rack, state, kind)
		return err
	}
	if err := line("ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE"); err != nil {
		return err
	}
	for _, b := range brokers {
		rack, state := "null", "unfenced"
		if b.Rack != nil {
			rack = *b.Rack
		}
		if b.IsFenced {
			state = "fenced"
		}
		if err := line(strconv.Itoa(int(b.NodeID)), b.Host, strconv.Itoa(int(b.Port)), rack, state, "broker"); err != nil {
			return err
		}
	}
	return nil
}

func newClusterUnregister(k *kafkaOptions) *cobra.Command {
	o := &clusterInfoOptions{kafka: k, output: "text", script: "kafka-cluster.sh"}
	return clusterCommand(&cobra.Command{
		Use:     "unregister BROKER",
		Short:   "Have a cluster forget a broker that is gone for good",
		Example: `  tributary cluster unregister 3`,
		Args:    cobra.ExactArgs(1),
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		id, err := strconv.ParseInt(args[0], 10, 32)
		if err != nil || id < 0 {
			return fmt.Errorf("%q: allowed are ids of brokers", args[0])
		}
		served, err := admin.Serves(ctx, cl, kmsg.UnregisterBroker)
		switch {
		case err != nil:
			return err
		case !served && o.output == "kafka":
			_, err := fmt.Fprintln(out, "The target cluster does not support the broker unregistration API.")
			return err
		case !served:
			return errors.New("the cluster cannot forget brokers")
		}
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = int32(id)
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
			if err != nil && resp.ErrorMessage != nil {
				err = fmt.Errorf("%w (%s)", err, *resp.ErrorMessage)
			}
		}
		if err == nil && o.output == "kafka" {
			_, err = fmt.Fprintf(out, "Broker %d is no longer registered.\n", id)
		}
		return admin.Problem(err)
	})
}
