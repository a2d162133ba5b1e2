package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-net/tributary/collect"
)

// printConfig returns what --print-config says of some options, by name: value or
// items, and origin.
func printConfig(t *testing.T, args ...string) map[string][2]string {
	t.Helper()
	var out, log bytes.Buffer
	if code := run(t.Context(), append(args, "--print-config"), nil, &out, &log); code != 0 {
		t.Fatalf("%q: %s", args, log.String())
	}
	all := map[string][2]string{}
	last := ""
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSpace(line)
		if item, ok := strings.CutPrefix(line, "- "); ok {
			o := all[last]
			all[last] = [2]string{strings.TrimSpace(o[0] + " " + strings.Trim(item, `'"`)), o[1]}
			continue
		}
		setting, origin, _ := strings.Cut(line, "  # ")
		name, value, _ := strings.Cut(setting, ":")
		last = name
		all[name] = [2]string{strings.TrimSpace(value), origin}
	}
	return all
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "site.properties")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What KFlow's properties say becomes options, and each names its origin.
func TestKFlowBecomesOptions(t *testing.T) {
	t.Setenv("KFLOW_TEST_HOST", "k9")
	site := writeFile(t, "server.port=9995\nserver.threads=3\nserver.buffer.size=2097152\nkafka.topic=flows\n"+
		"kafka.producers=2\nkafka.props.bootstrap.servers=k1:9092,${KFLOW_TEST_HOST}:9093\nkafka.props.acks=1\n"+
		"kafka.props.sasl.jaas.config=x.PlainLoginModule required username=\"u\" password=\"p&%;\";\n"+
		"kafka.props.sasl.mechanism=PLAIN\nkafka.props.security.protocol=SASL_SSL\nmetrics.port=9996\n")
	for _, c := range []struct {
		args   []string
		name   string
		want   string
		origin string
	}{
		// Nothing but KFlow's defaults.
		{[]string{"--kflow", os.DevNull}, "listen", ":4739", "KFlow's default"},
		{[]string{"--kflow", os.DevNull}, "workers", "1", "server.threads, KFlow's default"},
		{[]string{"--kflow", os.DevNull}, "receive-buffer", "1MiB", "server.buffer.size, KFlow's default"},
		{[]string{"--kflow", os.DevNull}, "to", "kafka://localhost:9092/ipfix?batch.size=16384&linger.ms=1000&producers=1&format=kflow", "KFlow's default"},
		{[]string{"--kflow", os.DevNull}, "http", ":8080", "metrics.port, KFlow's default"},
		{[]string{"--kflow", os.DevNull}, "state-topic", "off", "KFlow's default"},
		{[]string{"--kflow", os.DevNull}, "ledger-interval", "0s", "KFlow's default"},
		{[]string{"--kflow", os.DevNull, "--state-topic", "exporters"}, "state-topic", "exporters", "flag --state-topic"},
		{[]string{"--kflow", os.DevNull, "--ledger-interval", "1m"}, "ledger-interval", "1m", "flag --ledger-interval"},
		// A file.
		{[]string{"--kflow", site}, "listen", ":9995", "server.port, " + site + " line 1"},
		{[]string{"--kflow", site}, "workers", "3", "server.threads, " + site + " line 2"},
		{[]string{"--kflow", site}, "receive-buffer", "2MiB", "server.buffer.size, " + site + " line 3"},
		{[]string{"--kflow", site}, "http", ":9996", "metrics.port, " + site + " line 11"},
		{
			[]string{"--kflow", site}, "to", "kafka-ssl://k1:9092,k9:9093/flows?acks=1&batch.size=16384&linger.ms=1000&sasl.jaas.config=***" +
				"&sasl.mechanism=PLAIN&security.protocol=SASL_SSL&producers=2&format=kflow", "kafka.topic, " + site + " line 4; kafka.producers, " + site + " line 5; " +
				"kafka.props.acks, " + site + " line 7; kafka.props.bootstrap.servers, " + site + " line 6; kafka.props.sasl.jaas.config, " + site + " line 8; " +
				"kafka.props.sasl.mechanism, " + site + " line 9; kafka.props.security.protocol, " + site + " line 10; KFlow's default",
		},
		// -D wins over the file, the last one over those before, and may hold commas.
		{[]string{"--kflow", site, "-Dapp.server.port=1", "-D", "app.server.port=9997"}, "listen", ":9997", "server.port, flag -D"},
		{
			[]string{"-Dapp.kafka.props.bootstrap.servers=a:1,b:2", "-Dapp.kafka.topic=t"},
			"to",
			"kafka://a:1,b:2/t?batch.size=16384&linger.ms=1000&producers=1&format=kflow",
			"kafka.topic, flag -D; kafka.props.bootstrap.servers, flag -D; KFlow's default",
		},
		// Less than a buffer can be is raised.
		{[]string{"-Dapp.server.buffer.size=4096"}, "receive-buffer", "64KiB", "server.buffer.size, flag -D"},
		// Options stand instead of defaults, and beside what can be repeated.
		{[]string{"--kflow", os.DevNull, "--workers", "4"}, "workers", "4", "flag --workers"},
		{[]string{"--kflow", os.DevNull, "--http", "off"}, "http", "off", "flag --http"},
		{[]string{"--kflow", os.DevNull, "--receive-buffer", "4MiB"}, "receive-buffer", "4MiB", "flag --receive-buffer"},
		{[]string{"--kflow", os.DevNull, "--listen", ":2055"}, "listen", ":4739 :2055", "KFlow's default; flag --listen"},
		{
			[]string{"-Dapp.kafka.topic=t", "--to", "stdout:"},
			"to",
			"kafka://localhost:9092/t?batch.size=16384&linger.ms=1000&producers=1&format=kflow stdout:", "kafka.topic, flag -D; KFlow's default; flag --to",
		},
		// The same said twice is no contradiction.
		{[]string{"--kflow", site, "--workers", "3"}, "workers", "3", "server.threads, " + site + " line 2"},
		{[]string{"--kflow", site, "--listen", ":9995"}, "listen", ":9995", "server.port, " + site + " line 1; flag --listen"},
		// Without KFlow everything is as ever.
		{nil, "workers", "0", "default"},
	} {
		got := printConfig(t, append([]string{"collect"}, c.args...)...)[c.name]
		if got != [2]string{c.want, c.origin} {
			t.Errorf("%q: %s\n got %q\nwant %q", c.args, c.name, got, [2]string{c.want, c.origin})
		}
	}
	t.Setenv("TRIBUTARY_COLLECT_KFLOW_PROPERTY", "app.kafka.topic=a app.server.port=9998")
	if got, want := printConfig(t, "collect")["listen"], [2]string{":9998", "server.port, environment variable TRIBUTARY_COLLECT_KFLOW_PROPERTY"}; got != want {
		t.Errorf("by environment: %q, want %q", got, want)
	}
}

// What --print-config prints reads back as the same.
func TestKFlowPrintedConfigReadsBack(t *testing.T) {
	site := writeFile(t, "server.port=9995\nserver.threads=3\nkafka.topic=flows\nmetrics.port=9996\n")
	var printed, log bytes.Buffer
	if code := run(t.Context(), []string{"collect", "--kflow", site, "--to", "discard:", "--print-config"}, nil, &printed, &log); code != 0 {
		t.Fatal(log.String())
	}
	file := filepath.Join(t.TempDir(), "tributary.yaml")
	if err := os.WriteFile(file, printed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	before, after := printConfig(t, "collect", "--kflow", site, "--to", "discard:"), printConfig(t, "collect", "--config", file)
	for name, want := range before {
		if got := after[name]; got[0] != want[0] {
			t.Errorf("%s is %q, was %q", name, got[0], want[0])
		}
	}
}

// What is wrong is told in one line that says where.
func TestKFlowRefuses(t *testing.T) {
	site := writeFile(t, "server.threads=2\nkafka.props.acks=9\nkafka.topic=a b\nmetrics.port=${a}\na=${b}\nb=${a}\nkafka.props.sasl.password=geheim\nserver.port=${nothing}\n")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--kflow", "no.properties"}, `kflow: bad value "no.properties" (flag --kflow): open no.properties: no such file or directory`},
		{[]string{"--kflow", site}, `server.port: bad value "${nothing}" (` + site + ` line 8): allowed are whole numbers from 0 to 65535`},
		{[]string{"--kflow", site, "-Dapp.server.port=9995"}, `kafka.topic: bad value "a b" (` + site + ` line 3): topic "a b": allowed are `},
		{[]string{"--kflow", site, "-Dapp.server.port=1", "-Dapp.kafka.topic=t"}, `kafka.props.acks: bad value "9": allowed are all, -1, 1, 0 (` + site + ` line 2)`},
		{
			[]string{"--kflow", site, "-Dapp.server.port=1", "-Dapp.kafka.topic=t", "-Dapp.kafka.props.acks=1"},
			`metrics.port: bad value "${a}" (` + site + ` line 4): variable a stands in its own value`,
		},
		{[]string{"-Dapp.server.threads=0"}, `server.threads: bad value "0" (flag -D): allowed are whole numbers from 1 to 256`},
		{[]string{"-Dapp.kafka.producers=none"}, `kafka.producers: bad value "none" (flag -D): allowed are whole numbers from 1 to 256`},
		{[]string{"-Dapp.server.threads=2", "--workers", "4"}, `workers: bad value "4" (flag --workers): server.threads (flag -D) says 2; allowed is one of the two`},
		{[]string{"-Dapp.metrics.port=2", "--http", "off"}, `http: bad value "off" (flag --http): metrics.port (flag -D) says :2; allowed is one of the two`},
		{[]string{"-Dapp.kafka.props.sasl.mechanism=PLAIN"}, `kafka.props.*: sasl.mechanism=PLAIN needs sasl.username and sasl.password`},
		{[]string{"-Dnothing"}, `kflow-property: bad value "nothing" (flag --kflow-property): allowed is NAME=VALUE`},
	} {
		var out, log bytes.Buffer
		code := run(t.Context(), append([]string{"collect", "--check"}, c.args...), nil, &out, &log)
		if text := log.String(); code != 1 || !strings.HasPrefix(text, "tributary: "+c.says) || strings.Count(text, "\n") != 1 || strings.Contains(text, "geheim") {
			t.Errorf("%q: %d %s\nwant %s", c.args, code, text, c.says)
		}
	}
}

// Variables are replaced as KFlow replaces them.
func TestKFlowVariables(t *testing.T) {
	environ := map[string]string{"HOST": "k1", "B": "from the environment"}
	k, err := newKFlowSite("f", []byte("topic=t\na=B\nHOST=k2\nchain=<${topic}>\n"), []string{"B=from -D", "app.x=${topic}"}, "flag -D",
		func(name string) (string, bool) { v, ok := environ[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"":                       "",
		"plain $ { } $x":         "plain $ { } $x",
		"${HOST}:9092":           "k1:9092", // the environment before the file
		"${B}":                   "from -D", // -D before the environment
		"${topic}${topic}":       "tt",
		"${chain}":               "<t>",
		"${app.x} ${x}":          "t t",
		"${none}":                "${none}",
		"${none:-other}":         "other",
		"${none:-}":              "",
		"${none:-${HOST}}":       "k1",
		"${${a}}":                "from -D",
		"${no${a}:-${topic}}":    "t",
		"$${HOST}":               "${HOST}",
		"$$${HOST}":              "$${HOST}",
		"a$${HOST} ${HOST}":      "a${HOST} k1",
		"${HOST":                 "${HOST",
		"${HOST ${topic}":        "${HOST t",
		"${none:-$${HOST}} tail": "${HOST} tail", // the first bracket closes
		"server ${server.port}":  "server 4739",
		"a}b${HOST}}":            "a}bk1}",
	} {
		if got, err := k.resolve(in, nil); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
}

// Properties that nothing comes of are told apart: those that others know, and
// those that nobody does.
func TestKFlowSortsOut(t *testing.T) {
	site := writeFile(t, "kafka.props.key.serializer=a\nkafka.props.lingr.ms=1\nkafka.tpoic=x\nour.broker=127.0.0.1:1\nkafka.props.bootstrap.servers=${our.broker}\n"+
		"kafka.props.queue.buffering.max.ms=7\n")
	var out, log bytes.Buffer
	// A folder cannot be written to as a file: it ends right after it said
	// what it has to say.
	code := run(t.Context(), []string{
		"collect", "--kflow", site, "--http", "off", "-Duser.country=DE", "-Dapp.kafka.props.ssl.cipher.suites=x",
		"--to", "file:" + t.TempDir(), "--log-format", "json",
	}, nil, &out, &log)
	if code != 1 {
		t.Fatal(log.String())
	}
	for _, want := range []string{
		`"msg":"in place of KFlow; NetFlow and sFlow are taken too"`,
		`"msg":"properties without effect","names":["kafka.props.key.serializer","kafka.props.ssl.cipher.suites","user.country"]`,
		`"msg":"unknown property","name":"kafka.props.lingr.ms","origin":"` + site + ` line 2","meant":"kafka.props.linger.ms"`,
		`"msg":"unknown property","name":"kafka.tpoic","origin":"` + site + ` line 3","meant":"kafka.topic"`,
	} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("%d lines with %s in\n%s", n, want, log.String())
		}
	}
	if n := strings.Count(log.String(), "unknown property"); n != 2 {
		t.Errorf("%d properties are unknown", n)
	}
}

// The migration page names every property and every metric.
func TestKFlowPageIsWhole(t *testing.T) {
	page := pages(t)["docs/kflow.md"]
	for name, value := range kflowDefaults {
		row := "| `" + name + "` | "
		if _, rest, ok := strings.Cut(page, row); !ok || !strings.HasPrefix(rest, "`"+value+"`") {
			t.Errorf("docs/kflow.md has no row %s`%s`", row, value)
		}
	}
	descs := make(chan *prometheus.Desc, 10)
	kflowCollector{}.Describe(descs)
	close(descs)
	for d := range descs {
		m, err := parseDesc(d.String())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(page, "`"+m.name+"`") {
			t.Errorf("docs/kflow.md does not name %s", m.name)
		}
	}
	var words []string
	for _, r := range collect.Reasons() {
		if kflowReasons[r] == "" {
			t.Errorf("reason %s has no word of KFlow's", r)
		}
		words = append(words, kflowReasons[r])
	}
	slices.Sort(words)
	for _, w := range append(slices.Compact(words), kflowMissing) {
		if !strings.Contains(page, "`"+w+"`") {
			t.Errorf("docs/kflow.md does not name the error %q", w)
		}
	}
}
