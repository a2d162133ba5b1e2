package main

import (
	"cmp"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/tributary-net/tributary/internal/kafka"
	"github.com/tributary-net/tributary/internal/sink"
)

// checkTwice refuses one thing for two uses: a socket, a topic, a file.
func (o *collectOptions) checkTwice() error {
	if err := o.checkSockets(); err != nil {
		return err
	}
	if err := o.checkTopics(); err != nil {
		return err
	}
	return o.checkFiles()
}

// checkSockets refuses an address that is listened on twice. Port 0 is another one each
// time.
func (o *collectOptions) checkSockets() error {
	taken := map[string]bool{}
	for _, listen := range o.listen {
		host, service, err := net.SplitHostPort(strings.TrimPrefix(listen, "udp://"))
		if err != nil {
			return bad("listen", listen, err.Error())
		}
		port, err := net.LookupPort("udp", service)
		if err != nil {
			return bad("listen", listen, err.Error())
		}
		if host == "::" {
			host = "" // both take IPv4 too
		}
		at := net.JoinHostPort(strings.ToLower(host), service)
		if port != 0 && taken[at] {
			return bad("listen", listen, "the address is there twice; allowed is once, with --workers sockets")
		}
		taken[at] = true
	}
	return nil
}

// checkTopics refuses two uses of one topic: what is kept of flows, of what exporters
// teach, of counter samples and of the ledger is not alike, nor is how long.
func (o *collectOptions) checkTopics() error {
	type topic struct{ cluster, name string }
	taken := map[topic]string{}
	clusters, err := o.sink.kafkas()
	if err != nil {
		return err
	}
	for i, k := range clusters {
		if o.ledger > 0 {
			taken[topic{k.Address(), ledgerTopic}] = "the loss ledger"
		}
		if name := o.counters.topic(); name != "" {
			at := topic{k.Address(), name}
			if of := taken[at]; of != "" {
				return bad("counters", name, "the topic has "+of+"; allowed is one of their own")
			}
			taken[at] = "counter samples"
		}
		if name := o.state.topic; i == 0 && name != "off" {
			at := topic{k.Address(), name}
			if of := taken[at]; of != "" {
				return bad("state-topic", name, "the topic has "+of+"; allowed is one of its own")
			}
			taken[at] = "what exporters teach"
		}
	}
	for _, to := range o.sink.to {
		if !kafka.IsEndpoint(to) {
			continue
		}
		k, err := o.sink.kafka(to)
		if err != nil {
			return err
		}
		at := topic{k.Address(), cmp.Or(k.Topic, flowsTopic)}
		if of := taken[at]; of != "" {
			return bad("to", to, "topic "+at.name+" has "+of+"; allowed is one of its own")
		}
		taken[at] = "the flow records of another --to"
	}
	return nil
}

// checkFiles refuses two uses of one file: each would write into the other's.
func (o *collectOptions) checkFiles() error {
	type use struct{ path, what string }
	var taken []use
	take := func(name, value, path, what string) error {
		for _, t := range taken {
			if sameFile(t.path, path) {
				return bad(name, value, "the file has "+t.what+"; allowed is one of its own")
			}
		}
		taken = append(taken, use{path, what})
		return nil
	}
	if path := o.sink.kafkaConfig; path != "" {
		taken = append(taken, use{path, "settings for Kafka"})
	}
	if path := o.state.path(o.sink.spool); path != "" {
		if err := take("state", path, path, "what exporters teach"); err != nil {
			return err
		}
	}
	stdout := false
	for _, to := range o.sink.to {
		e, err := sink.Parse(to)
		if err != nil {
			return bad("to", to, err.Error())
		}
		if e.Stdout() {
			if stdout {
				return bad("to", to, "standard output has the flow records of another --to; allowed is once")
			}
			stdout = true
		}
		if path := e.File(); path != "" {
			if err := take("to", to, path, "flow records"); err != nil {
				return err
			}
		}
	}
	if path := o.counters.file(); path != "" {
		return take("counters", o.counters.to, path, "counter samples")
	}
	return nil
}

// sameFile reports whether two paths lead to one file, or would if it were there. A
// device or a pipe, such as /dev/null, is nobody's.
func sameFile(a, b string) bool {
	sa, errA := os.Stat(a)
	sb, errB := os.Stat(b)
	switch {
	case errA == nil && errB == nil:
		return os.SameFile(sa, sb) && sa.Mode().IsRegular()
	case errA == nil || errB == nil:
		return false
	}
	return wholePath(a) == wholePath(b)
}

// wholePath is the path of a file that is not there yet, whichever way it is named.
func wholePath(path string) string {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err == nil {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
	}
	return filepath.Join(dir, filepath.Base(path))
}

// within reports whether a path is a folder or something in it.
func within(path, folder string) bool {
	rel, err := filepath.Rel(wholePath(folder), wholePath(path))
	return err == nil && filepath.IsLocal(rel)
}
