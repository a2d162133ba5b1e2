package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"testing"
)

// TestWireElements: an element that configuration names is a field on the way
// through Kafka, in every format that has such fields, and may be the key.
func TestWireElements(t *testing.T) {
	_, broker := startBroker(t, t.TempDir(), "127.0.0.1:0")
	args := []string{"--element", "9/12345=site:uint", "--element", "9/12346=name:string"}
	formats := []string{"protobuf", "protobuf-single", "json"}
	for _, format := range formats {
		args = append(args, "--to", "kafka://"+broker+"/"+format+"?key=site,name&format="+format)
	}
	collector, address := startCollect(t, args...)

	// IPFIX: a template of source address, octets, 9/12345 and 9/12346, and two records.
	set := func(id uint16, body []byte) []byte {
		b := binary.BigEndian.AppendUint16(nil, id)
		return append(binary.BigEndian.AppendUint16(b, uint16(4+len(body))), body...)
	}
	sets := set(2, []byte("\x01\x00\x00\x04\x00\x08\x00\x04\x00\x01\x00\x04\xb0\x39\x00\x04\x00\x00\x00\x09\xb0\x3a\xff\xff\x00\x00\x00\x09"))
	sets = append(sets, set(256, []byte("\x0a\x00\x00\x01\x00\x00\x00\x64\x00\x00\x00\x07\x04oslo\x0a\x00\x00\x02\x00\x00\x00\x64\x00\x00\x00\x08\x00"))...)
	message := binary.BigEndian.AppendUint16([]byte{0, 10}, uint16(16+len(sets)))
	message = append(binary.BigEndian.AppendUint32(message, 1767225600), make([]byte, 8)...)
	sendAll(t, address, [][]byte{append(message, sets...)})
	eventually(t, "flows are delivered", func() bool { return collector.metrics(t).sink("delivered") == uint64(2*len(formats)) })
	collector.stop(t)

	for _, format := range formats {
		lines := tributary(t, "consume", format, "--kafka", "kafka://"+broker, "--from-beginning", "--exit-at-end", "--decode", "--print", "key,value")
		for _, want := range []struct{ key, addr, site, name string }{{"7,oslo", "10.0.0.1", "7", "oslo"}, {"8,", "10.0.0.2", "8", ""}} {
			re := fmt.Sprintf(`(?m)^%s\t\{.*"bytes":100,.*"src_addr":"%s",.*("site":%s.*"name":%q|"name":%q,"site":%s)\}$`, want.key, want.addr, want.site, want.name, want.name, want.site)
			if !regexp.MustCompile(re).Match(lines) || bytes.Count(lines, []byte("\n")) != 2 {
				t.Errorf("%s: no line like %s in\n%s", format, re, lines)
			}
		}
		if bytes.Contains(lines, []byte(`"elements"`)) {
			t.Errorf("%s: elements in %s", format, lines)
		}
	}
}
