package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// kflow is KFlow, where --kflow says where it is: its jar, or the folder of jars of
// a distribution. It listens on all addresses, which it cannot be told otherwise.
var kflow = collector{
	name: "KFlow",
	start: func(b *bench, t *turn) (*process, error) {
		file, err := b.kflowProperties(t)
		if err != nil {
			return nil, err
		}
		program := []string{"-jar", b.kflow}
		if !strings.HasSuffix(b.kflow, ".jar") {
			program = []string{"-cp", filepath.Join(b.kflow, "*"), "com.github.sukhinin.kflow.Application"}
		}
		return b.start("kflow", nil, "java", append(program, "--config", file)...)
	},
	decoded: page("/", "decoder_ipfix_flows_total"),
	rival:   true,
	// It looks for work by itself now and then, and its compiler wants to have seen it.
	idle:  1500 * time.Millisecond,
	noise: 0.2,
	warm:  15 * time.Second,
}

// oursAsKFlow runs with KFlow's properties, the very same.
var oursAsKFlow = collector{
	name: "tributary",
	start: func(b *bench, t *turn) (*process, error) {
		file, err := b.kflowProperties(t)
		if err != nil {
			return nil, err
		}
		return b.start("tributary", nil, b.tributary, "collect", "--kflow", file, "--log-level", "warn")
	},
	decoded: kflow.decoded,
	// It waits for a second for batches to fill, as it is told.
	idle:  1500 * time.Millisecond,
	noise: 0.05,
}

// kflowProperties writes the properties of both: a thread for each CPU and room for
// them in the sockets, the rest as KFlow has it.
func (b *bench) kflowProperties(t *turn) (string, error) {
	if t.output != toKFlow {
		return "", errors.New("KFlow writes its JSON to Kafka and nothing else")
	}
	file := filepath.Join(b.dir, "kflow.properties")
	return file, os.WriteFile(file, fmt.Appendf(nil, `server.port=%d
server.threads=2
server.buffer.size=4194304
kafka.topic=%s
kafka.props.bootstrap.servers=%s
metrics.port=%d
`, t.port, t.topic, t.broker, t.http), 0o600)
}
