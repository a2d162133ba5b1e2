package flow_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/flow"
)

func TestExtraNames(t *testing.T) {
	for _, name := range []string{"", "1st", "a-b", "a b", "ä", `a"b`, "src_addr", "elements", "dvc", "proto_number", strings.Repeat("x", 65)} {
		if e, err := flow.NewExtra(name, flow.ExtraUint); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q is taken as %v: %v", name, e, err)
		}
	}
	for _, name := range []string{"a", "_", "nvzFlowUDID", "x9", strings.Repeat("x", 64)} {
		if e, err := flow.NewExtra(name, flow.ExtraUint); err != nil || e.Name() != name {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := flow.NewExtra("a", flow.ExtraList+1); err == nil {
		t.Error("a type that is none is taken")
	}
	for ty := flow.ExtraUint; ty <= flow.ExtraList; ty++ {
		if got, err := flow.ParseExtraType(ty.String()); err != nil || got != ty {
			t.Errorf("%s is read as %s: %v", ty, got, err)
		}
	}
	if _, err := flow.ParseExtraType("number"); err == nil || !strings.Contains(err.Error(), "allowed are uint") {
		t.Errorf("a type that is none is refused with %v", err)
	}
}

// TestExtras writes a value of every type and reads it back from both formats.
func TestExtras(t *testing.T) {
	for _, c := range []struct {
		typ  flow.ExtraType
		num  uint64
		text string
		json string
		back flow.ExtraType // what JSON says of the type
	}{
		{flow.ExtraUint, 0, "", `0`, flow.ExtraUint},
		{flow.ExtraUint, math.MaxUint64, "", `18446744073709551615`, flow.ExtraUint},
		{flow.ExtraInt, ^uint64(0), "", `-1`, flow.ExtraInt},
		{flow.ExtraInt, 1 << 63, "", `-9223372036854775808`, flow.ExtraInt},
		{flow.ExtraFloat, math.Float64bits(-1.5), "", `-1.5`, flow.ExtraFloat},
		{flow.ExtraFloat, math.Float64bits(math.NaN()), "", `"NaN"`, flow.ExtraString},
		{flow.ExtraFloat, math.Float64bits(math.Inf(-1)), "", `"-Inf"`, flow.ExtraString},
		{flow.ExtraString, 0, "", `""`, flow.ExtraString},
		{flow.ExtraString, 0, "a\"\n\xffé", `"a\"\u000a` + "\ufffdé" + `"`, flow.ExtraString},
		{flow.ExtraBytes, 0, "\x00\xab", `"00ab"`, flow.ExtraString},
		{flow.ExtraIP, 0, "\xc0\x00\x02\x01", `"192.0.2.1"`, flow.ExtraString},
		{flow.ExtraIP, 0, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", `"2001:db8::1"`, flow.ExtraString},
		{flow.ExtraMAC, 0x020000000001, "", `"02:00:00:00:00:01"`, flow.ExtraString},
		{flow.ExtraBool, 1, "", `true`, flow.ExtraBool},
		{flow.ExtraBool, 0, "", `false`, flow.ExtraBool},
		{flow.ExtraTime, 1700000000000000001, "", `1700000000000000001`, flow.ExtraUint},
		{flow.ExtraList, 0, `[1,{"a":"b"}]`, `[1,{"a":"b"}]`, flow.ExtraList},
	} {
		var r, back flow.Record
		r.SetUint(flow.Bytes, 7)
		if e := extra("x", c.typ); c.text != "" || strings.HasPrefix(c.json, `""`) {
			r.AppendExtraBytes(e, []byte(c.text))
		} else {
			r.AppendExtra(e, c.num)
		}
		text := flow.AppendJSON(nil, &r)
		var object struct{ X json.RawMessage }
		if err := json.Unmarshal(text, &object); err != nil || string(object.X) != c.json {
			t.Errorf("%s is %s in JSON, want %s: %v", c.typ, object.X, c.json, err)
		}
		if err := flow.DecodeProtobuf(flow.AppendProtobuf(nil, &r), &back); err != nil {
			t.Errorf("%s: %v", c.typ, err)
		}
		if d := diff(&r, &back); d != "" {
			t.Errorf("%s: %s", c.typ, d)
		}
		if _, err := flow.DecodeAny(text, &back, func(*flow.Record) error { return nil }); err != nil {
			t.Errorf("%s: %v", c.typ, err)
		}
		if v, ok := back.Extra("x"); !ok || v.Type() != c.back {
			t.Errorf("%s is read as %s", text, v.Type())
		}
		if again := flow.AppendJSON(nil, &back); string(again) != string(text) {
			t.Errorf("%s is written again as %s", text, again)
		}
	}
}

// TestBadExtras reads messages that hold no extra field.
func TestBadExtras(t *testing.T) {
	message := func(body string) []byte { return append([]byte{0xea, 0x12, byte(len(body))}, body...) }
	var r flow.Record
	for body, ok := range map[string]bool{
		"":                          true,  // neither name nor value
		"\x0a\x01x":                 true,  // no value
		"\x0a\x01x\x10\x05":         true,  //
		"\x0a\x01x\x78\x05":         true,  // a type of later
		"\x10\x05":                  false, // no name
		"\x0a\x01\"\x10\x05":        false, // a name that would break JSON
		"\x0a\x01x\x12\x05":         false, // cut short
		"\x0a\x01x\x22\x00":         false, // octets for a number
		"\x0a\x01x\x3a\x03abc":      false, // an address of three octets
		"\x0a\x01x\x5a\x01[":        false, // no JSON
		"\x0a\x01x\x5a\x04[\n\x31]": true,  // JSON of two lines
	} {
		err := flow.DecodeProtobuf(message(body), &r)
		if (err == nil) != ok {
			t.Errorf("%q: %v", body, err)
		}
		if text := flow.AppendJSON(nil, &r); ok && (!json.Valid(text) || strings.Contains(string(text), "\n")) {
			t.Errorf("%q becomes %s", body, text)
		}
	}
}
