package main

import (
	"fmt"
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
			if page, err = kafkaconfig.ReplaceTables(page); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return os.WriteFile(args[0], page, 0o644)
		},
	}
}
