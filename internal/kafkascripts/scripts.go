package kafkascripts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// scripts are those of Apache Kafka that have something to do here.
var scripts = map[string]script{
	"kafka-topics.sh":              topics,
	"kafka-acls.sh":                acls,
	"kafka-delete-records.sh":      table(clusterOptions+"offset-json-file=", deleteRecords),
	"kafka-configs.sh":             configs,
	"kafka-console-producer.sh":    consoleProducer,
	"kafka-console-consumer.sh":    consoleConsumer,
	"kafka-consumer-groups.sh":     consumerGroups,
	"kafka-groups.sh":              groups,
	"kafka-transactions.sh":        transactions,
	"kafka-features.sh":            features,
	"kafka-get-offsets.sh":         getOffsets,
	"kafka-leader-election.sh":     leaderElection,
	"kafka-reassign-partitions.sh": reassign,
	"kafka-producer-perf-test.sh":  producerPerf,
	"kafka-consumer-perf-test.sh":  consumerPerf,
	"kafka-dump-log.sh":            dumpLog,
	"kafka-server-start.sh":        table("daemon override= name= loggc", serverStart),
	"kafka-server-stop.sh":         table("process-role= node-id=", func(*parsed) (Command, error) { return Command{Action: Stop}, nil }),
	"kafka-storage.sh":             storage,
	"zookeeper-server-start.sh":    table("daemon name= loggc", func(*parsed) (Command, error) { return noZooKeeper("started") }),
	"zookeeper-server-stop.sh":     table("", func(*parsed) (Command, error) { return noZooKeeper("stopped") }),
	"kafka-broker-api-versions.sh": table(clusterOptions, clusterCommand("api-versions")),
	"kafka-log-dirs.sh":            table(clusterOptions+"describe broker-list= topic-list=", logDirs),
	"kafka-cluster.sh":             table(clusterOptions+"config= b= C= c= id= i= include-fenced-brokers", clusterTool),
}

func noZooKeeper(what string) (Command, error) {
	return Command{Action: Nothing, Says: []string{"no ZooKeeper is needed: nothing is " + what}}, nil
}

func serverStart(p *parsed) (Command, error) {
	if len(p.rest) != 1 {
		return Command{}, errors.New("give one file, such as config/server.properties")
	}
	args := []string{"broker", "--http=off", "--server-properties=" + p.rest[0]}
	args = p.pass(args, "override", "override")
	if p.has("daemon") {
		return Command{Action: ServeAway, Args: args}, nil
	}
	return Command{Action: Serve, Args: args}, nil
}

var dumpLog = table("files= print-data-log deep-iteration index-sanity-check verify-index-only max-message-size= max-bytes= offsets-decoder transaction-log-decoder "+
	"cluster-metadata-decoder share-group-state-decoder remote-log-metadata-decoder key-decoder-class= value-decoder-class= skip-record-metadata ", func(p *parsed) (Command, error) {
	args := []string{"dump-log", "--output=kafka", "--decode=plain"}
	for _, refused := range []string{"cluster-metadata-decoder", "share-group-state-decoder", "remote-log-metadata-decoder", "key-decoder-class", "value-decoder-class"} {
		if p.has(refused) {
			return Command{}, fmt.Errorf("--%s is not there", refused)
		}
	}
	switch {
	case p.has("offsets-decoder"):
		args = []string{"dump-log", "--output=kafka", "--decode=offsets", "--print-data-log"}
	case p.has("transaction-log-decoder"):
		args = []string{"dump-log", "--output=kafka", "--decode=transactions", "--print-data-log"}
	case p.has("print-data-log") && p.has("skip-record-metadata"):
		args = append(args, "--print-data-log", "--part=values")
	case p.has("print-data-log"):
		args = append(args, "--print-data-log")
	case p.has("deep-iteration") && !p.has("skip-record-metadata"):
		args = append(args, "--print-data-log", "--part=metadata")
	}
	if n := p.get("max-bytes"); n != "" {
		if v, err := strconv.ParseInt(n, 10, 64); err != nil || v < 1 {
			return Command{}, fmt.Errorf("--max-bytes %s: allowed are numbers from 1", n)
		}
		args = append(args, "--max-bytes="+n+"B")
	}
	files := splitList(p.get("files"))
	if len(files) == 0 || len(p.rest) > 0 {
		return Command{}, errors.New("--files names the files, parted by commas")
	}
	return Command{Args: append(append(args, "--"), files...)}, nil
})

// clusterCommand is a command below cluster, in Kafka's form.
func clusterCommand(name string) func(p *parsed) (Command, error) {
	return func(p *parsed) (Command, error) {
		args, err := p.cluster([]string{"cluster", name, "--output=kafka"}, p.get("command-config"))
		return Command{Args: args}, err
	}
}

func clusterTool(p *parsed) (Command, error) {
	if len(p.rest) != 1 {
		return Command{}, errors.New("give one of cluster-id, list-endpoints, unregister")
	}
	command, behind := []string{"cluster", "", "--output=kafka"}, []string(nil)
	switch what := p.rest[0]; what {
	case "cluster-id":
		command[1] = "id"
	case "list-endpoints":
		command[1] = "brokers"
		command = p.turn(command, "fenced", "include-fenced-brokers")
	case "unregister":
		id := p.either("id", "i")
		if id == "" {
			return Command{}, errors.New("unregister: --id is missing")
		}
		command[1], behind = what, []string{"--", id}
	default:
		return Command{}, fmt.Errorf("what is %q? cluster-id, list-endpoints and unregister are there", what)
	}
	p.rest = nil
	for short, long := range map[string]string{"b": "bootstrap-server", "C": "bootstrap-controller", "c": "command-config"} {
		if p.has(short) {
			p.values[long] = p.values[short]
		}
	}
	config := p.get("command-config")
	if config == "" {
		config = p.get("config")
	}
	args, err := p.cluster(command, config)
	return Command{Args: append(args, behind...)}, err
}

func logDirs(p *parsed) (Command, error) {
	if !p.has("describe") {
		return Command{}, errors.New("--describe is what it can do")
	}
	brokers := p.get("broker-list")
	delete(p.values, "broker-list") // here, of ids
	args, err := p.cluster([]string{"cluster", "log-dirs", "--output=kafka"}, p.get("command-config"))
	for _, b := range splitList(brokers) {
		args = append(args, "--broker="+b)
	}
	for _, t := range splitList(p.get("topic-list")) {
		args = append(args, "--topic="+t)
	}
	return Command{Args: args}, err
}

func deleteRecords(p *parsed) (Command, error) {
	if !p.has("offset-json-file") {
		return Command{}, errors.New("--offset-json-file is missing")
	}
	args, err := p.cluster([]string{"topics", "delete-records"}, p.get("command-config"))
	return Command{Args: p.pass(args, "from-file", "offset-json-file")}, err
}

var getOffsets = table(clusterOptions+"topic= partitions= topic-partitions= time= exclude-internal-topics offsets= max-wait-ms=", func(p *parsed) (Command, error) {
	args, err := p.cluster([]string{"topics", "offsets", "--output=kafka"}, p.get("command-config"))
	if err != nil {
		return Command{}, err
	}
	if at := p.get("time"); at != "" {
		if name, ok := listedTimes[at]; ok {
			at = name
		}
		args = append(args, "--time="+at)
	}
	if !p.has("exclude-internal-topics") {
		args = append(args, "--internal")
	}
	for _, n := range splitList(p.get("partitions")) {
		args = append(args, "--partition="+n)
	}
	if p.has("topic-partitions") && (p.has("topic") || p.has("partitions")) {
		return Command{}, errors.New("--topic-partitions does not go with --topic and --partitions")
	}
	for _, pattern := range splitList(p.get("topic-partitions")) {
		args = append(args, "--topic-partitions="+pattern)
	}
	if p.has("topic") {
		args = append(args, "--", whole(p.get("topic")))
	}
	return Command{Args: args}, nil
})

// listedTimes are the times that have a number of their own.
var listedTimes = map[string]string{
	"-1": "latest", "-2": "earliest", "-3": "max-timestamp", "-4": "earliest-local", "-5": "latest-tiered", "-6": "earliest-pending-upload",
}

// whole is the regular expression that matches a whole name by one of Kafka's tools, which take lists parted by commas too.
func whole(expr string) string {
	return "^(?:" + strings.ReplaceAll(expr, ",", "|") + ")$"
}

// splitList parts a list at commas.
func splitList(s string) []string {
	var all []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}
