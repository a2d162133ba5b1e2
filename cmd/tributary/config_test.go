package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "1": 1, "4096": 4096, "5B": 5, "512kB": 512_000, "512KB": 512_000, "1KiB": 1024, "64MiB": 64 << 20, "1.5GB": 1_500_000_000,
		"2 GiB": 2 << 30, "1TB": 1e12, "0.5KiB": 512, "9223372036854775807": 1<<63 - 1,
	} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "B", "x", "-1", "-1MB", "1XB", "1e3x", "9223372036854775808", "9000000TiB", "NaN", "Inf", "0x10", "1 2"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("%q: %d, want an error", in, got)
		}
	}
	for _, n := range []int64{0, 1, 999, 1000, 1023, 1024, 1500, 1 << 20, 3 << 30, 1e9, 1048588, 1<<63 - 1} {
		if got, err := parseSize(formatSize(n)); err != nil || got != n {
			t.Errorf("%d is written %s and read %d, %v", n, formatSize(n), got, err)
		}
	}
}

func TestParseRate(t *testing.T) {
	for in, want := range map[string]float64{"0": 0, "100": 100, "100/s": 100, "5k/s": 5000, "2M": 2e6, "60/m": 1, "1800/h": 0.5, "0.5/s": 0.5} {
		if got, err := parseRate(in); err != nil || got != want {
			t.Errorf("%q: %g, %v; want %g", in, got, err, want)
		}
	}
	for _, in := range []string{"", "/s", "x", "-1/s", "1/d", "Inf", "NaN/s", "1kk"} {
		if got, err := parseRate(in); err == nil {
			t.Errorf("%q: %g, want an error", in, got)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h", 24 * time.Hour: "24h",
		90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 1500 * time.Millisecond: "1.5s", 10 * time.Minute: "10m", 20 * time.Hour: "20h",
	} {
		got := formatDuration(d)
		if got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
		if back, err := time.ParseDuration(got); err != nil || back != d {
			t.Errorf("%s reads as %v, %v", got, back, err)
		}
	}
}

func TestParseOffset(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for _, in := range []string{"", "latest", "earliest", "0", "17", "-5", "@2026-01-02T15:04:05Z", "@-10m"} {
		if _, err := parseOffset(in, now); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, in := range []string{"last", "+x", "@", "@10m", "@yesterday", "1.5"} {
		if _, err := parseOffset(in, now); err == nil || !strings.Contains(err.Error(), "allowed are") {
			t.Errorf("%q: %v", in, err)
		}
	}
	ten, _ := parseOffset("@-10m", now)
	at, _ := parseOffset("@2026-01-02T14:54:05Z", now)
	if ten != at {
		t.Errorf("ten minutes ago is %v, want %v", ten, at)
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"kafka://k1/t?sasl.username=u&sasl.password=p%26q&acks=1": "kafka://k1/t?sasl.username=u&sasl.password=***&acks=1",
		"kafka://u:pw@k1/t":                           "kafka://u:***@k1/t",
		"sasl.jaas.config=X required password=\"a\";": "sasl.jaas.config=***",
		"kafka://k1:9092,k2:9092/flows?acks=all":      "kafka://k1:9092,k2:9092/flows?acks=all",
		"ssl.key.password=x\nacks=1":                  "ssl.key.password=***\nacks=1",
	} {
		if got := redact(in); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"listen", "listn", 1}, {"kitten", "sitting", 3}, {"abc", "cba", 2}} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%s to %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
