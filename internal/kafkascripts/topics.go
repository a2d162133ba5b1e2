package kafkascripts

import (
	"errors"
	"fmt"
	"strings"
)

var topics = table(clusterOptions+`alter at-min-isr-partitions config= create delete delete-config= describe exclude-internal force
	if-exists if-not-exists list partition-size-limit-per-response= partitions= replica-assignment= replication-factor= topic= topic-id=
	topics-with-overrides unavailable-partitions under-min-isr-partitions under-replicated-partitions disable-rack-aware`, func(p *parsed) (Command, error) {
	what, err := p.one("create", "list", "describe", "alter", "delete")
	if err != nil {
		return Command{}, err
	}
	if p.has("topic-id") && what != "describe" {
		return Command{}, errors.New("--topic-id is for --describe")
	}
	topic := p.get("topic")
	if topic == "" && (what == "create" || what == "delete" || what == "alter") {
		return Command{}, errors.New("--topic is missing")
	}
	args, err := p.cluster([]string{"topics", what}, p.get("command-config"))
	if err != nil {
		return Command{}, err
	}
	switch what {
	case "create":
		args = p.pass(args, "partitions", "partitions")
		args = p.pass(args, "replication", "replication-factor")
		args = p.pass(args, "replica-assignment", "replica-assignment")
		args = p.pass(args, "set", "config")
		args = p.turn(args, "if-missing", "if-not-exists")
		c := Command{Args: append(args, "--", topic), Says: []string{"Created topic " + topic + "."}}
		if p.has("if-not-exists") {
			c.Says = nil
		}
		if strings.ContainsAny(topic, "._") {
			c.Notes = []string{"WARNING: topics with a period or an underscore can have the same name in Kafka's metrics; use one of the two"}
		}
		return c, nil
	case "list":
		args = append(args, "--output=kafka")
		if !p.has("exclude-internal") {
			args = append(args, "--internal")
		}
		if topic != "" {
			args = append(args, "--", whole(topic))
		}
	case "describe":
		args = append(args, "--output=kafka")
		if !p.has("exclude-internal") {
			args = append(args, "--internal")
		}
		for _, view := range []string{"at-min-isr", "under-min-isr", "under-replicated", "unavailable"} {
			args = p.turn(args, view, view+"-partitions")
		}
		args = p.turn(args, "with-overrides", "topics-with-overrides")
		args = p.turn(args, "if-exists", "if-exists")
		args = p.pass(args, "topic-id", "topic-id")
		if topic != "" && !p.has("topic-id") { // which wins
			args = append(append(args, "--"), matching(topic)...)
		}
	case "alter":
		if p.has("config") || p.has("delete-config") {
			return Command{}, errors.New("--config: settings are changed by kafka-configs.sh --alter --topic " + topic + " --add-config name=value")
		}
		if !p.has("partitions") {
			return Command{}, errors.New("--partitions is missing")
		}
		if p.has("replica-assignment") {
			return Command{}, errors.New("--replica-assignment: the cluster places the partitions that are added")
		}
		args = append(append(p.turn(p.pass(args, "partitions", "partitions"), "if-exists", "if-exists"), "--"), matching(topic)...)
	case "delete":
		args = append(append(p.turn(args, "if-exists", "if-exists"), "--"), matching(topic)...)
	}
	return Command{Args: args}, nil
})

// matching are the topics of a list parted by commas, or the regular expression that it is.
func matching(list string) []string {
	name := func(r rune) bool {
		return r == ',' || r == '.' || r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if strings.ContainsFunc(list, func(r rune) bool { return !name(r) }) {
		return []string{"/" + whole(list) + "/"}
	}
	return splitList(list)
}

var configs = table(clusterOptions+`add-config= add-config-file= all alter broker= broker-defaults broker-logger= client= client-defaults client-metrics=
	delete-config= describe entity-default entity-name= entity-type= force group= ip= ip-defaults topic= user= user-defaults`, func(p *parsed) (Command, error) {
	what, err := p.one("describe", "alter")
	if err != nil {
		return Command{}, err
	}
	clients, err := p.clients()
	if err != nil {
		return Command{}, err
	}
	if len(clients) > 0 {
		return p.quotas(what, clients)
	}
	subject, name, err := p.entity()
	if err != nil {
		return Command{}, err
	}
	ours := map[string]string{"describe": "describe", "alter": "alter"}[what]
	args, err := p.cluster([]string{"configs", ours}, p.get("command-config"))
	if err != nil {
		return Command{}, err
	}
	if subject == "broker" && name == "" && (what == "alter" || p.has("entity-default") || p.has("broker-defaults")) {
		subject = "broker-default"
	}
	if what == "describe" {
		args = append(p.turn(append(args, "--output=kafka"), "all", "all"), "--", subject)
		if name != "" {
			args = append(args, name)
		}
		return Command{Args: args}, nil
	}
	args = p.pass(args, "set-file", "add-config-file")
	for _, list := range p.values["add-config"] {
		for _, pair := range splitConfigs(list) {
			args = append(args, "--set="+pair)
		}
	}
	for _, n := range splitList(p.get("delete-config")) {
		args = append(args, "--unset="+n)
	}
	if !p.has("add-config") && !p.has("add-config-file") && !p.has("delete-config") {
		return Command{}, errors.New("--add-config, --add-config-file or --delete-config must be given")
	}
	args = append(args, "--", subject)
	done := "Completed updating config for " + strings.TrimSuffix(subject, "s") + " " + name + "."
	if name == "" {
		done = "Completed updating default config for brokers in the cluster."
	} else {
		args = append(args, name)
	}
	return Command{Args: args, Says: []string{done}}, nil
})

// entities are what kafka-configs.sh may be about besides clients: the plural of its options, and ours.
var entities = map[string]string{
	"topics": "topic", "brokers": "broker", "groups": "group", "client-metrics": "client-metrics", "broker-loggers": "broker-logger",
}

// entity is what kafka-configs.sh is about and its name, which is empty for the default of all.
func (p *parsed) entity() (kind, name string, err error) {
	for _, short := range []string{"topic", "broker", "group", "client-metrics", "broker-logger"} {
		if p.has(short) {
			kind, name = short, p.get(short)
		}
	}
	switch plural := p.get("entity-type"); {
	case kind != "":
	case p.has("broker-defaults"):
		return "broker", "", nil
	case plural == "":
		return "", "", errors.New("--entity-type is missing")
	case entities[plural] == "":
		return "", "", fmt.Errorf("--entity-type %s: topics, brokers, groups, users, clients, ips, client-metrics and broker-loggers are there", plural)
	default:
		kind, name = entities[plural], p.get("entity-name")
	}
	switch {
	case name == "" && kind == "broker-logger":
		return "", "", errors.New("--entity-name is missing: broker-loggers are those of a broker")
	case name == "" && !p.has("entity-default") && !p.has("describe"):
		return "", "", errors.New("--entity-name or --entity-default must be given")
	}
	return kind, name, nil
}

// splitConfigs parts name=value,name=[a,b]; brackets hold a value together and go away.
func splitConfigs(s string) []string {
	var all []string
	depth, begin := 0, 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || s[i] == ',' && depth == 0:
			if part := strings.TrimSpace(s[begin:i]); part != "" {
				if name, value, ok := strings.Cut(part, "=["); ok && strings.HasSuffix(value, "]") {
					part = name + "=" + strings.TrimSuffix(value, "]")
				}
				all = append(all, part)
			}
			begin = i + 1
		case s[i] == '[':
			depth++
		case s[i] == ']':
			depth--
		}
	}
	return all
}
