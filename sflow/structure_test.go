package sflow_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/sflow"
)

// show writes values as text: lists in brackets, groups in braces.
func show(values []sflow.Value) string {
	var b strings.Builder
	for len(values) > 0 {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		values = showOne(&b, values)
	}
	return b.String()
}

func showOne(b *strings.Builder, values []sflow.Value) []sflow.Value {
	v, values := values[0], values[1:]
	if v.Name != "" {
		b.WriteString(v.Name + "=")
	}
	open, shut := "[", "]"
	switch v.Kind {
	case sflow.Uint32, sflow.Uint64:
		fmt.Fprint(b, v.Num)
	case sflow.Int:
		fmt.Fprint(b, int64(v.Num))
	case sflow.Float:
		fmt.Fprint(b, math.Float64frombits(v.Num))
	case sflow.MAC:
		fmt.Fprintf(b, "%012x", v.Num)
	case sflow.Text:
		b.Write(v.Bytes)
	case sflow.Octets, sflow.UUID, sflow.IP:
		fmt.Fprintf(b, "%x", v.Bytes)
	case sflow.Group:
		open, shut = "{", "}"
		fallthrough
	default:
		b.WriteString(open)
		for i := range v.Num {
			if i > 0 {
				b.WriteByte(' ')
			}
			values = showOne(b, values)
		}
		b.WriteString(shut)
	}
	return values
}

// TestStructures reads records from their octets, which are put together by hand
// after the definitions of sflow.org.
func TestStructures(t *testing.T) {
	flow, counters := sflow.AppendFlow, sflow.AppendCounters
	for _, c := range []struct {
		read   func([]sflow.Value, sflow.Record) ([]sflow.Value, []byte, bool)
		format sflow.Format
		data   string // hexadecimal, spaces between parts
		want   string
		left   string
	}{
		{counters, 2000, "00000005 686f737431000000 000102030405060708090a0b0c0d0e0f 00000003 00000002 00000003 362e3100", "hostname=host1 uuid=000102030405060708090a0b0c0d0e0f machine_type=3 os_name=2 os_release=6.1", ""},
		{counters, 2001, "00000002 00000001 00000001 0200000000010000 00000002 00000002 0200000000020000 0200000000030000", "adapters=[{ifIndex=1 mac_address=[020000000001]} {ifIndex=2 mac_address=[020000000002 020000000003]}]", ""},
		{counters, 10, "00000007 00000001 00000ce4 ffffffff 00000001 00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008 00000009 0000000a", "module_id=7 module_num_lanes=1 module_supply_voltage=3300 module_temperature=-1 lanes=[{index=1 tx_bias_current=2 tx_power=3 tx_power_min=4 tx_power_max=5 tx_wavelength=6 rx_power=7 rx_power_min=8 rx_power_max=9 rx_wavelength=10}]", ""},
		{counters, 1004, "0000000000000102 00000003", "datapath_id=258 port_no=3", ""},
		{counters, 1005, "00000004 65746830", "name=eth0", ""},
		{counters, 8, "00000001 00000002 00000003 00000004 00000005 00000006 000000ff", "unknown=1 other=2 cam_miss=3 cam_full=4 no_hw_support=5 cntrl=6", "000000ff"},
		{counters, 1003, "00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008 00000009 0000000a 0000000b 0000000c 0000000d", "queueIndex=1 segmentSize=2 queueSegments=3 queueLength0=4 queueLength1=5 queueLength2=6 queueLength4=7 queueLength8=8 queueLength32=9 queueLength128=10 queueLength1024=11 queueLengthMore=12 dropped=13", ""},
		{counters, 2202, "00000003 61707000 00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008 00000009 0000000a 0000000b", "application=app success=1 other=2 timeout=3 internal_error=4 bad_request=5 forbidden=6 too_large=7 not_implemented=8 not_found=9 unavailable=10 unauthorized=11", ""},
		{counters, 4413<<12 | 2, "00000001 fffffffe 00000003 00000004 00000002 00000005 ffffffff 00000000", "ingress_uc_pc=1 ingress_mc_pc=-2 egress_uc_pc=3 egress_mc_pc=4 egress_queue_uc_pc=[5 -1] egress_queue_mc_pc=[]", ""},
		{counters, 2003, "3fc00000 00000000 bf800000 00000001", "load_one=1.5 load_five=0 load_fifteen=-1 proc_run=1", ""},
		{counters, 2000, "00000005 686f", "", "00000005686f"},
		{counters, 2001, "00000002 00000001 00000001 0200000000010000 00000002 00000005", "", "00000002000000010000000102000000000100000000000200000005"},
		{counters, 2001, "ffffffff", "", "ffffffff"},

		{flow, 1003, "00000001 c0000201 0000fde8 0000fde9 0000fdea 00000002 00000002 00000002 0000fdeb 0000fdec 00000001 00000001 0000fded 00000001 fde80064 00000064", "nexthop=c0000201 as=65000 src_as=65001 src_peer_as=65002 dst_as_path=[{type=2 as=[65003 65004]} {type=1 as=[65005]}] communities=[4259840100] localpref=100", ""},
		{flow, 1004, "0000006a 00000005 616c696365000000 0000006a 00000000", "src_charset=106 src_user=alice dst_charset=106 dst_user=", ""},
		{flow, 1012, "00000002 81000064 880000c8", "stack=[2164260964 2281701576]", ""},
		{flow, 1014, "00000003 6e657400 0200000000010000 00000003 00000006 0000000003938700 00000028 00000050 000001f4", "ssid=net bssid=020000000001 version=3 channel=6 speed=60000000 rsni=40 rcpi=80 packet_duration=500", ""},
		{flow, 1021, "00000040 0200000000010000 0200000000020000 00000800", "length=64 src_mac=020000000001 dst_mac=020000000002 type=2048", ""},
		{flow, 1030, "00001388", "vni=5000", ""},
		{flow, 1032, "00000001 00000002 000102030405060708090a0b0c0d0e0f 0f0e0d0c0b0a09080706050403020100 00000003 00000004", "flow_label=1 tc=2 s_gid=000102030405060708090a0b0c0d0e0f d_gid=0f0e0d0c0b0a09080706050403020100 next_header=3 length=4", ""},
		{flow, 1041, "00000002 6c320000 00000003 73747000", "group=l2 trap=stp", ""},
		{flow, 1042, "00000007 4e4f54535045 43 00", "reason=NOTSPEC", ""},
		{flow, 1043, "17979cfe362a0000", "nanoseconds=1700000000000000000", ""},
		{flow, 2101, "00000006 20010db8000000000000000000000001 20010db8000000000000000000000002 00000050 0000c000", "protocol=6 local_ip=20010db8000000000000000000000001 remote_ip=20010db8000000000000000000000002 local_port=80 remote_port=49152", ""},
		{flow, 1002, "00000000 00000018 00000010", "nexthop= src_mask_len=24 dst_mask_len=16", ""},
		{flow, 1002, "00000003 00000018", "", "0000000300000018"},
	} {
		data, err := hex.DecodeString(strings.ReplaceAll(c.data, " ", ""))
		if err != nil {
			t.Fatal(c.data, err)
		}
		values, left, known := c.read(nil, sflow.Record{Format: c.format, Data: data})
		if got := show(values); !known || got != c.want || hex.EncodeToString(left) != c.left {
			t.Errorf("%v: known %v, %s, %x left; want %s, %s left", c.format, known, got, left, c.want, c.left)
		}
	}
	for _, read := range []func([]sflow.Value, sflow.Record) ([]sflow.Value, []byte, bool){flow, counters} {
		if v, left, known := read(nil, sflow.Record{Format: 99, Data: []byte{1}}); known || v != nil || !bytes.Equal(left, []byte{1}) {
			t.Errorf("an unknown format is %v, %x left", v, left)
		}
	}
	if sflow.FlowName(1042) != "extended_linux_drop_reason" || sflow.FlowName(99) != "" || sflow.CounterName(2000) != "host_descr" {
		t.Error("names of structures")
	}
}
