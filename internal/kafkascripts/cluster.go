package kafkascripts

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/tributary-net/tributary/internal/kafka"
)

// clusterOptions are those by which every script finds its cluster.
const clusterOptions = " bootstrap-server= broker-list= bootstrap-controller= zookeeper= command-config= "

// cluster appends the options that say which cluster it is. Properties are name=value, as --producer-property has them.
func (p *parsed) cluster(args []string, config string, properties ...string) ([]string, error) {
	if err := p.none(); err != nil {
		return nil, err
	}
	servers := p.get("bootstrap-server")
	if servers == "" {
		servers = p.get("broker-list")
	}
	switch {
	case p.has("bootstrap-controller"):
		return nil, errors.New("--bootstrap-controller: there is no controller by itself; give the broker, --bootstrap-server host:9092")
	case servers == "" && p.has("zookeeper"):
		host, _, err := net.SplitHostPort(strings.SplitN(p.get("zookeeper"), "/", 2)[0])
		if err != nil {
			host = p.get("zookeeper")
		}
		if host != "localhost" && host != "127.0.0.1" && host != "::1" {
			return nil, errors.New("--zookeeper: Kafka has none any more; give the broker, --bootstrap-server host:9092")
		}
		servers = net.JoinHostPort(host, "9092")
		p.notes = append(p.notes, "there is no ZooKeeper: the broker at "+servers+" is asked, as --bootstrap-server "+servers+" says it")
	case servers == "":
		return nil, errors.New("--bootstrap-server host:9092 is missing")
	}
	query := url.Values{}
	var without []string
	for _, pair := range properties {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q: allowed is name=value", pair)
		}
		known, err := kafka.Properties{}.Set(name, value)
		if err != nil {
			return nil, err
		}
		if known {
			query.Set(name, value)
		} else {
			without = append(without, name)
		}
	}
	if len(without) > 0 {
		p.notes = append(p.notes, "no effect here: "+strings.Join(without, ", "))
	}
	u := "kafka://" + servers
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	args = append(args, "--kafka="+u)
	if config != "" {
		args = append(args, "--kafka-config="+config)
	}
	return args, nil
}

// settings are name=value of options such as --property, which must be known, over those of the file that an option names; what is
// not known there has no effect.
func (p *parsed) settings(file string, options []string, known ...string) (map[string]string, error) {
	m := map[string]string{}
	if path := p.get(file); path != "" {
		text, err := readProperties(path)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", file, err)
		}
		err = kafka.EachProperty(text, func(_ int, name, value string) error {
			if slices.Contains(known, name) {
				m[name] = value
			} else {
				p.notes = append(p.notes, "no effect here: "+name)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("--%s %s: %w", file, path, err)
		}
	}
	for _, option := range options {
		for _, pair := range p.values[option] {
			name, value, _ := strings.Cut(pair, "=")
			if !slices.Contains(known, name) {
				return nil, fmt.Errorf("--%s %s: unknown; known are %s", option, name, strings.Join(known, ", "))
			}
			m[name] = value
		}
	}
	return m, nil
}

// readProperties reads a file of settings.
func readProperties(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	return os.ReadFile(path)
}

// isTrue reads a boolean property as Java does.
func isTrue(s string) bool { return strings.EqualFold(s, "true") }
