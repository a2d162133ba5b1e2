package collect_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
)

// Datagrams of the tests are put together here octet by octet.

// exportSecs is the export time of the tests' datagrams.
const exportSecs = 1_700_000_000

var (
	received = time.Unix(exportSecs+1, 500)
	exporter = netip.MustParseAddrPort("192.0.2.1:50000")
)

// cat appends what the values are on the wire.
func cat(values ...any) (b []byte) {
	for _, v := range values {
		switch v := v.(type) {
		case uint8:
			b = append(b, v)
		case uint16:
			b = binary.BigEndian.AppendUint16(b, v)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, v)
		case string:
			b = append(b, v...)
		case []byte:
			b = append(b, v...)
		case netip.Addr:
			b = append(b, v.AsSlice()...)
		default:
			panic(fmt.Sprintf("%T", v))
		}
	}
	return b
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// field is a field specifier.
type field struct {
	id, length uint16
	enterprise uint32
}

func set(id uint16, bodies ...[]byte) []byte {
	var body []byte
	for _, b := range bodies {
		body = append(body, b...)
	}
	return cat(id, uint16(4+len(body)), body)
}

func fieldSpecs(fields []field) (b []byte) {
	for _, f := range fields {
		if f.enterprise != 0 {
			b = append(b, cat(f.id|0x8000, f.length, f.enterprise)...)
		} else {
			b = append(b, cat(f.id, f.length)...)
		}
	}
	return b
}

// template is a template record, of v9 and IPFIX alike.
func template(id uint16, fields ...field) []byte {
	return cat(id, uint16(len(fields)), fieldSpecs(fields))
}

// optionsTemplate is an options template record of IPFIX.
func optionsTemplate(id uint16, scope int, fields ...field) []byte {
	return cat(id, uint16(len(fields)), uint16(scope), fieldSpecs(fields))
}

// optionsTemplate9 is one of NetFlow v9.
func optionsTemplate9(id uint16, scope int, fields ...field) []byte {
	return cat(id, uint16(4*scope), uint16(4*(len(fields)-scope)), fieldSpecs(fields))
}

// v9 is a NetFlow v9 packet.
type v9 struct {
	uptime, sequence, source uint32
}

func (m v9) with(sets ...[]byte) []byte {
	b := cat(uint16(9), uint16(len(sets)), m.uptime, uint32(exportSecs), m.sequence, m.source)
	for _, s := range sets {
		b = append(b, s...)
	}
	return b
}

// v10 is an IPFIX message.
type v10 struct {
	sequence, domain uint32
}

func (m v10) with(sets ...[]byte) []byte {
	b := cat(uint16(10), uint16(0), uint32(exportSecs), m.sequence, m.domain)
	for _, s := range sets {
		b = append(b, s...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// collector decodes datagrams and keeps copies of their records.
type collector struct {
	t testing.TB
	*collect.Decoder
}

func newCollector(t testing.TB) *collector {
	return &collector{t, collect.NewDecoder(collect.DefaultDecoderConfig())}
}

// withoutHold returns a collector that counts what has no template at once.
func withoutHold(t testing.TB) *collector {
	return &collector{t, collect.NewDecoder(collect.DecoderConfig{HoldOctets: -1})}
}

// decode returns the records of a datagram and the decoder's error.
func (c *collector) decode(from netip.AddrPort, payload []byte) (records []*flow.Record, err error) {
	c.t.Helper()
	err = c.Decode(&flow.Datagram{Exporter: from, Received: received, Payload: payload}, func(r *flow.Record) error {
		// Encoding makes a copy; what is zero becomes absent.
		clone := new(flow.Record)
		if err := flow.DecodeProtobuf(flow.AppendProtobuf(nil, r), clone); err != nil {
			c.t.Fatal(err)
		}
		records = append(records, clone)
		return nil
	})
	return records, err
}

// want returns the records of a datagram that has n and no fault.
func (c *collector) want(n int, payload []byte) []*flow.Record {
	c.t.Helper()
	return c.wantFrom(exporter, n, payload)
}

func (c *collector) wantFrom(from netip.AddrPort, n int, payload []byte) []*flow.Record {
	c.t.Helper()
	records, err := c.decode(from, payload)
	if err != nil {
		c.t.Fatal(err)
	}
	if len(records) != n {
		c.t.Fatalf("%d records, want %d", len(records), n)
	}
	return records
}

// values are what some fields of a record should hold: numbers, netip.Addr, string,
// []int for lists, []string for lists of addresses.
type values map[flow.Field]any

func check(t testing.TB, r *flow.Record, want values) {
	t.Helper()
	for f, w := range want {
		var got any
		switch w.(type) {
		case int:
			got = int(r.Uint(f))
		case float64: // 5e9
			got = float64(r.Uint(f))
		case netip.Addr:
			got = r.Addr(f)
		case string:
			got = string(r.Bytes(f))
		case []int:
			list := []int{}
			for _, v := range r.Uints(f) {
				list = append(list, int(v))
			}
			got = list
		case []string:
			list := []string{}
			for i := range r.AddrCount(f) {
				list = append(list, r.AddrAt(f, i).String())
			}
			got = list
		}
		if fmt.Sprint(got) != fmt.Sprint(w) {
			t.Errorf("%s is %v, want %v", f, got, w)
		}
	}
}
