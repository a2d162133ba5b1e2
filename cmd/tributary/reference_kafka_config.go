package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tributary-net/tributary/internal/kafkaconfig"
)

//go:generate go run . reference kafka-config ../../docs/kafka-config.md

// newReferenceKafkaConfig is the hidden command that writes the tables of Kafka's settings in docs/kafka-config.md; what
// stands around them is written by hand.
func newReferenceKafkaConfig() *cobra.Command {
	return &cobra.Command{
		Use:     "kafka-config FILE",
		Short:   "Write the tables of Kafka's settings",
		Example: "  tributary reference kafka-config docs/kafka-config.md",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			page, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			if page, err = replaceSettings(page); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return os.WriteFile(args[0], page, 0o644)
		},
	}
}

// settingTables are the generated tables, by the name in their markers.
var settingTables = []struct {
	name string
	list func() []kafkaconfig.Setting
}{
	{"broker", kafkaconfig.Broker}, {"topic", kafkaconfig.Topic}, {"producer", kafkaconfig.Producer}, {"consumer", kafkaconfig.Consumer},
}

// replaceSettings replaces the tables, each between its markers.
func replaceSettings(page []byte) (_ []byte, err error) {
	for _, t := range settingTables {
		if page, err = replaceMarked(page, t.name+" settings", func(w io.Writer) { kafkaconfig.WriteTable(w, t.list()) }); err != nil {
			return nil, err
		}
	}
	return page, nil
}
