package sflow_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/internal/captures"
	"github.com/tributary-net/tributary/packet"
	"github.com/tributary-net/tributary/sflow"
)

// tsharkNames are tshark's names of counters, where they are not the structures'.
var tsharkNames = map[string]string{
	"ifInOctets": "ifinoct", "ifInUcastPkts": "ifinpkt", "ifInMulticastPkts": "ifinmcast", "ifInBroadcastPkts": "ifinbcast", "ifInDiscards": "ifindisc",
	"ifInErrors": "ifinerr", "ifInUnknownProtos": "ifinunk", "ifOutOctets": "ifoutoct", "ifOutUcastPkts": "ifoutpkt", "ifOutMulticastPkts": "ifoutmcast",
	"ifOutBroadcastPkts": "ifoutbcast", "ifOutDiscards": "ifoutdisc", "ifOutErrors": "ifouterr",
}

// TestTshark compares the counters of interfaces in a capture with what tshark
// reads.
func TestTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed")
	}
	file := filepath.Join(captures.Dir(t), "flows", "sflow-counters-tcpdump.pcap")
	var names []string
	for name := range tsharkNames {
		names = append(names, name)
	}
	for _, name := range strings.Fields("AlignmentErrors FCSErrors SingleCollisionFrames MultipleCollisionFrames SQETestErrors DeferredTransmissions LateCollisions " +
		"ExcessiveCollisions InternalMacTransmitErrors CarrierSenseErrors FrameTooLongs InternalMacReceiveErrors SymbolErrors") {
		names = append(names, "dot3Stats"+name)
	}
	args := []string{"-r", file, "-n", "-d", "udp.port==6343,sflow", "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,", "-E", "separator=;"}
	for _, name := range names {
		field := name
		if n, ok := tsharkNames[name]; ok {
			field = n
		}
		args = append(args, "-e", "sflow_245."+field)
	}
	out, err := exec.Command(tshark, args...).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}

	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := packet.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var ours strings.Builder
	compared := 0
	in := packet.NewDatagramReader(r)
	for g := (packet.Datagram{}); ; {
		if err := in.Next(&g); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		lists := map[string][]string{}
		var d sflow.Datagram
		if err := d.Decode(g.Payload); err != nil {
			t.Fatal(err)
		}
		for s := d.Next(); s != nil; s = d.Next() {
			for _, record := range s.Records {
				values, _, _ := sflow.AppendCounters(nil, record)
				for _, v := range values {
					lists[v.Name] = append(lists[v.Name], strconv.FormatUint(v.Num, 10))
				}
			}
		}
		for i, name := range names {
			if i > 0 {
				ours.WriteByte(';')
			}
			ours.WriteString(strings.Join(lists[name], ","))
			compared += len(lists[name])
		}
		ours.WriteByte('\n')
	}
	theirs := strings.Split(string(out), "\n")
	for i, line := range strings.Split(ours.String(), "\n") {
		if strings.Trim(line, ";") == "" {
			continue // counters of a host, which tshark does not know and reads as others
		}
		if i >= len(theirs) || line != theirs[i] {
			t.Errorf("counters of datagram %d are\n%s\ntshark's are\n%s", i, line, strings.Join(theirs[i:min(i+1, len(theirs))], ""))
		}
	}
	if compared < 1000 {
		t.Errorf("%d counters were compared", compared)
	}
}
