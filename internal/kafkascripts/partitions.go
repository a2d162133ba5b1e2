package kafkascripts

import (
	"errors"
	"fmt"
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
