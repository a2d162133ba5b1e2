package kafkascripts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var leaderElection = table(clusterOptions+"admin.config= election-type= topic= partition= path-to-json-file= all-topic-partitions", func(p *parsed) (Command, error) {
	way, err := p.one("topic", "path-to-json-file", "all-topic-partitions")
	switch {
	case err != nil:
		return Command{}, err
	case p.has("topic") != p.has("partition"):
		return Command{}, errors.New("--topic and --partition go together")
	}
	args, err := p.cluster([]string{"topics", "elect-leaders", "--output=kafka"}, p.either("command-config", "admin.config"))
	if err != nil {
		return Command{}, err
	}
	switch kind := p.get("election-type"); strings.ToLower(kind) {
	case "preferred":
	case "unclean":
		args = append(args, "--unclean")
	case "":
		return Command{}, errors.New("--election-type is missing")
	default:
		return Command{}, fmt.Errorf("--election-type %s: allowed are preferred and unclean", kind)
	}
	switch way {
	case "topic":
		return Command{Args: append(args, "--", p.get("topic")+":"+p.get("partition"))}, nil
	case "path-to-json-file":
		return Command{Args: p.pass(args, "from-file", way)}, nil
	}
	return Command{Args: append(args, "--all")}, nil
})

// reassignActions are what kafka-reassign-partitions.sh can do: each with the options that it must have and those that it may have.
var reassignActions = map[string][2]string{
	"generate": {"topics-to-move-json-file broker-list", "disable-rack-aware"},
	"execute":  {"reassignment-json-file", "additional throttle replica-alter-log-dirs-throttle timeout disallow-replication-factor-change"},
	"verify":   {"reassignment-json-file", "preserve-throttles"},
	"cancel":   {"reassignment-json-file", "preserve-throttles timeout"},
	"list":     {"", ""},
}

var reassign = table(clusterOptions+`generate execute verify cancel list topics-to-move-json-file= reassignment-json-file= disable-rack-aware additional throttle=
	replica-alter-log-dirs-throttle= timeout= preserve-throttles disallow-replication-factor-change`, func(p *parsed) (Command, error) {
	what, err := p.one("generate", "execute", "verify", "cancel", "list")
	if err != nil {
		return Command{}, err
	}
	must, may := strings.Fields(reassignActions[what][0]), strings.Fields(reassignActions[what][1])
	if err := p.only("--"+what, must, append(may, what, "bootstrap-server", "bootstrap-controller", "command-config")); err != nil {
		return Command{}, err
	}
	brokers := splitList(p.get("broker-list"))
	delete(p.values, "broker-list") // here, of ids
	args, err := p.cluster([]string{"reassign", what, "--output=kafka"}, p.get("command-config"))
	if err != nil {
		return Command{}, err
	}
	for _, id := range brokers {
		args = append(args, "--broker="+id)
	}
	args = p.pass(args, "topics-file", "topics-to-move-json-file")
	args = p.turn(args, "ignore-racks", "disable-rack-aware")
	args = p.turn(args, "additional", "additional")
	args = p.turn(args, "keep-factor", "disallow-replication-factor-change")
	args = p.turn(args, "keep-throttles", "preserve-throttles")
	for _, o := range [][2]string{{"throttle", "throttle"}, {"dir-throttle", "replica-alter-log-dirs-throttle"}} {
		rate := p.get(o[1])
		if rate == "" || strings.HasPrefix(rate, "-") { // Kafka's default is -1
			continue
		}
		if n, err := strconv.ParseInt(rate, 10, 64); err != nil || n == 0 {
			return Command{}, fmt.Errorf("--%s %s: allowed are bytes a second from 1", o[1], rate)
		}
		args = append(args, "--"+o[0]+"="+rate+"B")
	}
	if ms := p.get("timeout"); ms != "" {
		args = append(args, "--timeout="+ms+"ms")
	}
	if file := p.get("reassignment-json-file"); file != "" {
		args = append(args, "--", file)
	}
	return Command{Args: args}, nil
})
