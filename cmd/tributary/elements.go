package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/tributary-net/tributary/collect"
)

// elementOptions name information elements as fields of flow records.
type elementOptions struct {
	specs []string

	elements []collect.NamedElement
	names    []string // of their fields
}

func (o *elementOptions) register(fs *pflag.FlagSet, prefix string) {
	listVar(fs, &o.specs, prefix+"element", "element[=name][:type]", checkElement, "make an information element a field of flow records: enterprise/id, an id of IANA's or a registered name; types are uint, int, float, string, bytes, ip, mac, bool, time and list; repeatable")
}

func checkElement(s string) error {
	_, err := collect.ParseElement(s)
	return err
}

// check finds elements that do not go together.
func (o *elementOptions) check() error {
	o.elements, o.names = nil, nil
	for _, s := range o.specs {
		e, err := collect.ParseElement(s)
		if err != nil {
			return bad("element", s, err.Error())
		}
		o.elements = append(o.elements, e)
		o.names = append(o.names, e.Field.Name())
	}
	if err := collect.CheckElements(o.elements); err != nil {
		return bad("element", strings.Join(o.specs, " "), err.Error())
	}
	return nil
}
