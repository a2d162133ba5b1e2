package main

import (
	"cmp"
	"context"
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

// feature is one of a cluster (KIP-584).
type feature struct {
	Feature string `json:"feature"`
	Min     int16  `json:"min"`
	Max     int16  `json:"max"`
	Level   int16  `json:"level"` // that is in force; 0: none
	Epoch   int64  `json:"epoch"` // of the levels
}

func newClusterFeatures(k *kafkaOptions) *cobra.Command {
	o := &clusterInfoOptions{kafka: k, output: "text", script: "kafka-features.sh"}
	return clusterCommand(&cobra.Command{
		Use:     "features",
		Short:   "Show the features of a cluster and the levels in force",
		Example: `  tributary cluster features`,
		Args:    cobra.NoArgs,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, _ []string) error {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "tributary", "1"
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err != nil {
			return admin.Problem(err)
		}
		var all []feature
		for _, s := range resp.SupportedFeatures {
			f := feature{Feature: s.Name, Min: s.MinVersion, Max: s.MaxVersion, Epoch: resp.FinalizedFeaturesEpoch}
			for _, l := range resp.FinalizedFeatures {
				if l.Name == s.Name {
					f.Level = l.MaxVersionLevel
				}
			}
			all = append(all, f)
		}
		slices.SortFunc(all, func(a, b feature) int { return cmp.Compare(a.Feature, b.Feature) })
		if o.output == "kafka" {
			return each(all, func(f feature) error {
				_, err := fmt.Fprintf(out, "Feature: %-42sSupportedMinVersion: %-17sSupportedMaxVersion: %-17sFinalizedVersionLevel: %-17sEpoch: %d\n",
					f.Feature, f.version(f.Min), f.version(f.Max), f.version(f.Level), f.Epoch)
				return err
			})
		}
		return table(out, o.output, "FEATURE\tMIN\tMAX\tLEVEL", func(row func(v any, cells ...any) error) error {
			return each(all, func(f feature) error {
				return row(f, f.Feature, f.version(f.Min), f.version(f.Max), f.version(f.Level))
			})
		})
	})
}

// version is how Kafka writes a level: that of metadata.version by the release that brought it.
func (f feature) version(level int16) string {
	if i := int(level) - 7; f.Feature == "metadata.version" && i >= 0 && i < len(metadataVersions) {
		return metadataVersions[i]
	}
	return strconv.Itoa(int(level))
}

// metadataVersions are the levels of metadata.version from 7 on, as Kafka 4.3's MetadataVersion has them.
var metadataVersions = []string{
	"3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2", "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3",
	"3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0", "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0", "4.4-IV0",
}
