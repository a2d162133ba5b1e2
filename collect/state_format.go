package collect

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tributary-net/tributary/ipfix"
)

// ErrState says that what was read is no [State].
var ErrState = errors.New("not the state of an exporter")

// String returns the key as a topic or a file has it: exporter, port, version,
// domain, kind and id, separated by commas.
func (k StateKey) String() string {
	return fmt.Sprintf("%s,%d,%d,%d,%s,%s", k.Exporter, k.Port, k.Version, k.Domain, k.Kind, k.ID)
}

// ParseStateKey reads what String returns.
func ParseStateKey(text string) (StateKey, error) {
	parts := strings.Split(text, ",")
	bad := func(what string) (StateKey, error) {
		return StateKey{}, fmt.Errorf("%s of a key of %d octets: %w", what, len(text), ErrState)
	}
	if len(parts) != 6 || len(text) > maxStateKey {
		return bad("number of parts")
	}
	k := StateKey{ID: parts[5]}
	var err error
	if k.Exporter, err = netip.ParseAddr(parts[0]); err != nil || k.Exporter.Zone() != "" || k.Exporter.Is4In6() {
		return bad("exporter")
	}
	number := func(s string, bits int) uint64 {
		n, e := strconv.ParseUint(s, 10, bits)
		err = errors.Join(err, e)
		return n
	}
	k.Port, k.Version, k.Domain = uint16(number(parts[1], 16)), uint16(number(parts[2], 16)), uint32(number(parts[3], 32))
	if err != nil {
		return bad("port, version or domain")
	}
	kind := slices.Index(stateKindNames[1:], parts[4])
	if kind < 0 {
		return bad("kind")
	}
	k.Kind = StateKind(1 + kind)
	return k, nil
}

// How long a key and a value can be at most, in octets.
const (
	maxStateKey   = 1 << 10
	maxStateValue = 128 << 10
)

// stateValue is the JSON of a state.
type stateValue struct {
	Time    int64       `json:"time"`
	From    uint16      `json:"from,omitempty"`
	Options bool        `json:"options,omitempty"`
	Scope   int         `json:"scope,omitempty"`
	Fields  [][3]uint32 `json:"fields,omitempty"` // enterprise, id, length
	Rate    uint64      `json:"rate,omitempty"`
	Boot    uint64      `json:"boot_ms,omitempty"`
	Name    string      `json:"name,omitempty"`
	Octets  []byte      `json:"octets,omitempty"` // a name that is not UTF-8
}

// MarshalValue returns what a topic or a file has beside the key, as JSON.
func (st *State) MarshalValue() ([]byte, error) {
	v := stateValue{Time: st.Time}
	switch st.Kind {
	case StateTemplate:
		v.From, v.Options, v.Scope = st.From, st.Template.Options, st.Template.Scope
		for _, f := range st.Template.Fields {
			v.Fields = append(v.Fields, [3]uint32{f.Enterprise, uint32(f.ID), uint32(f.Length)})
		}
	case StateSampling:
		v.Rate = st.Number
	case StateBoot:
		v.Boot = st.Number
	case StateInterface, StateApplication:
		if utf8.Valid(st.Name) {
			v.Name = string(st.Name)
		} else {
			v.Octets = st.Name
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("state of %s: %w", st.StateKey, err)
	}
	return b, nil
}

// ParseState reads a key and a value. Either may be anything: what is returned
// without an error can be given to [Decoder.Learn].
func ParseState(key, value []byte) (State, error) {
	k, err := ParseStateKey(string(key[:min(len(key), maxStateKey+1)]))
	if err != nil {
		return State{}, err
	}
	if len(value) > maxStateValue {
		return State{}, fmt.Errorf("%d octets for %s: %w", len(value), k, ErrState)
	}
	var v stateValue
	if err := json.Unmarshal(value, &v); err != nil {
		return State{}, fmt.Errorf("value of %s: %w: %w", k, ErrState, err)
	}
	st := State{StateKey: k, Time: v.Time, From: v.From}
	switch k.Kind {
	case StateTemplate:
		if st.Template, err = v.template(k.ID); err != nil {
			return State{}, fmt.Errorf("value of %s: %w", k, err)
		}
	case StateSampling:
		st.Number = v.Rate
	case StateBoot:
		st.Number = v.Boot
	case StateInterface, StateApplication:
		if st.Name = v.Octets; v.Name != "" {
			st.Name = []byte(v.Name)
		}
	}
	if !st.valid() {
		return State{}, fmt.Errorf("value of %s: %w", k, ErrState)
	}
	return st, nil
}

func (v *stateValue) template(id string) (*ipfix.Template, error) {
	n, err := strconv.ParseUint(id, 10, 16)
	if err != nil || len(v.Fields) > ipfix.MaxFields {
		return nil, ErrState
	}
	t := &ipfix.Template{ID: uint16(n), Options: v.Options, Scope: v.Scope}
	for _, f := range v.Fields {
		if f[1] > 0xffff || f[2] > 0xffff {
			return nil, ErrState
		}
		t.Fields = append(t.Fields, ipfix.Field{ElementID: ipfix.ElementID{Enterprise: f[0], ID: uint16(f[1])}, Length: uint16(f[2])})
	}
	return t, nil
}
