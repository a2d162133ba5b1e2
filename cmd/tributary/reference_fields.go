package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tributary-net/tributary/flow"
)

//go:generate go run . reference fields ../../docs/format/flow-record.md

// newReferenceFields is the hidden command that writes the tables of fields in
// docs/format/flow-record.md; what stands around them is written by hand.
func newReferenceFields() *cobra.Command {
	return &cobra.Command{
		Use:     "fields FILE",
		Short:   "Write the tables of all fields of flow records",
		Example: "  tributary reference fields docs/format/flow-record.md",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			page, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			if page, err = replaceFields(page); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return os.WriteFile(args[0], page, 0o644)
		},
	}
}

// fieldTables are the generated tables: the first field number of each, by the
// name in its markers.
var fieldTables = []struct {
	name       string
	from, upTo uint16
}{
	{"goflow2", 0, 200},
	{"own", 200, 300},
}

// replaceFields replaces the tables, each between its markers.
func replaceFields(page []byte) (_ []byte, err error) {
	for _, t := range fieldTables {
		if page, err = replaceMarked(page, "fields "+t.name, func(w io.Writer) { writeFields(w, t.from, t.upTo) }); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// writeFields writes the fields with numbers in [from, upTo), in the order of
// the JSON object.
func writeFields(w io.Writer, from, upTo uint16) {
	fmt.Fprint(w, "| name | number | protobuf | JSON | meaning |\n|---|---|---|---|---|\n")
	for _, f := range flow.Fields() {
		if f.Number < from || f.Number >= upTo {
			continue
		}
		proto, text := fieldTypes(f)
		fmt.Fprintf(w, "| `%s` | %d | %s | %s | %s |\n", f.Name, f.Number, proto, text, cell(f.Doc))
	}
}

// fieldTypes says how the value of a field is written in protobuf and in JSON.
func fieldTypes(f flow.FieldInfo) (proto, text string) {
	number := fmt.Sprintf("uint%d", f.Bits)
	switch f.Kind {
	case flow.KindUint, flow.KindTime:
		return number, "number"
	case flow.KindType, flow.KindSource:
		return "enum", "name"
	case flow.KindMAC:
		return number, `"02:00:5e:10:00:01"`
	case flow.KindEtype:
		return number, "name, number in `etype_number`"
	case flow.KindProto:
		return number, "name, number in `proto_number`"
	case flow.KindNet:
		return number, "prefix, `\"192.0.2.0/24\"`"
	case flow.KindAddr:
		return "bytes, 4 or 16", `"192.0.2.1"`
	case flow.KindText:
		return "string", "text"
	case flow.KindBytes:
		return "bytes", "hexadecimal"
	case flow.KindUints:
		return "repeated " + number, "list of numbers"
	case flow.KindLayers:
		return "repeated enum", "list of names"
	case flow.KindAddrs:
		return "repeated bytes", "list of addresses"
	}
	return number, "number"
}
